import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { openMediaFolder } from '../../src/infra/media-folder/index.ts'
import type { MediaStore } from '../../src/media/index.ts'
import { startConfab } from '../harness/confab.ts'
import { GrpcClient } from '../harness/grpc-client.ts'
import { noRates } from '../harness/no-rates.ts'
import type { Fields } from '../harness/raw-client.ts'
import { tempFolder } from '../harness/temp-folder.ts'
import { described, png, upload } from '../harness/upload.ts'

/** Called before the store reads the facts of an upload, which the verification of an attachment needs. */
let beforeFacts: (key: string) => Promise<unknown> = async () => {}

const folder = await openMediaFolder(join(tempFolder(t), 'media'))
const mediaStore = new Proxy(folder, {
  get: (store, name) => {
    if (name === 'get')
      return async (key: string) => {
        if (key.endsWith('/facts')) await beforeFacts(key)
        return await store.get(key)
      }
    const value: unknown = Reflect.get(store, name)
    return typeof value === 'function' ? value.bind(store) : value
  },
}) as MediaStore
// A channel with two members is full: later ones follow it in logs of their own.
const confab = await startConfab(t, {
  mediaStore,
  limits: noRates,
  edge: { grpcPort: 0 },
  commands: { channelMembers: 2 },
})
const alice = await confab.connect('alice')
const files = await Promise.all(
  [0, 1, 2, 3].map(n => upload(confab, 'alice', png(`${n}`), { name: `${n}.png` })),
)
const unfinished = described(png('unfinished'))
const { mediaId } = await alice.ok('media', unfinished)
/** An attachment that no message may have. */
const refused = { mediaId, ...unfinished }

/** Sends requests without waiting, and returns their answers in the order of the requests. */
type Pipeline = (requests: readonly Fields[]) => Promise<{ ok: boolean; code: string | undefined }[]>

let requestId = 0
const withIds = (requests: readonly Fields[]) =>
  requests.map(request => ({ id: `p${++requestId}`, ...request }))

const overWebSocket: Pipeline = async requests => {
  const frames = withIds(requests)
  const answers = frames.map(({ id }) => alice.next(({ re }) => re === id))
  for (const frame of frames) alice.send(frame)
  return (await Promise.all(answers)).map(({ ok, error }) => ({
    ok: ok === true,
    code: (error as { code: string } | undefined)?.code,
  }))
}

/** A call of its own, with `hello` in the pipeline. */
const overGrpc: Pipeline = async requests => {
  const client = new GrpcClient(confab.edge.grpcPort!, { token: await confab.token('alice') })
  client.call.write({ id: 'hello', hello: {} })
  const frames = withIds(requests)
  for (const { id, t: type, ...fields } of frames as (Fields & { id: string; t: string })[])
    client.call.write({ id, [type]: fields })
  const answers = await Promise.all(
    frames.map(({ id }) => client.find(({ answer }) => (answer as Fields | undefined)?.re === id)),
  )
  client.close()
  return answers.map(frame => {
    const { error } = frame.answer as { error?: { code: string } | null }
    return { ok: error == null, code: error?.code }
  })
}

/** Returns the events of a conversation in short, without the first. Messages have their current text. */
const logOf = async (c: string): Promise<string[]> => {
  const { events } = await alice.ok('history', { c, after: 1, limit: 200 })
  return (events as Fields[]).map(({ type, m, text, emoji, user }) =>
    [type, m ?? user, text ?? emoji].join(' '),
  )
}

interface Step {
  readonly c: number
  readonly kind: 'send' | 'file' | 'files' | 'bad' | 'edit' | 'delete' | 'react' | 'unreact'
  /** Which of the earlier messages. */
  readonly of: number
}

const step: fc.Arbitrary<Step> = fc.record({
  c: fc.nat(1),
  kind: fc.constantFrom('send', 'file', 'files', 'bad', 'edit', 'delete', 'react', 'unreact'),
  of: fc.nat(1_000),
})

/** A model of one conversation: what `history` returns when requests run in order. */
class Conversation {
  readonly asked: string[] = []
  readonly #events: string[] = []
  readonly #messages = new Map<string, Set<string>>()
  /** The current text of each message, also of a deleted one. */
  readonly #texts = new Map<string, string>()

  /** The events in order, with the current text of each message. */
  get log(): string[] {
    return this.#events.map(event => {
      const [type, m = ''] = event.split(' ')
      return type === 'message.posted' || type === 'message.edited'
        ? `${type} ${m} ${this.#texts.get(m)}`
        : event
    })
  }

  posts(m: string, text: string): void {
    this.#messages.set(m, new Set())
    this.#texts.set(m, text)
    this.#events.push(`message.posted ${m}`)
  }

  edits(m: string, text: string): string | undefined {
    return this.about(m, () => {
      this.#texts.set(m, text)
      return `message.edited ${m}`
    })
  }

  /** Runs a request about a message. Returns the code of its answer. */
  about(m: string, run: (emojis: Set<string>) => string | undefined): string | undefined {
    const emojis = this.#messages.get(m)
    if (emojis === undefined) return 'NOT_FOUND'
    const event = run(emojis)
    if (event !== undefined) this.#events.push(event)
    return undefined
  }

  deletes(m: string): void {
    if (this.#messages.delete(m)) this.#texts.set(m, '')
  }
}

let runs = 0

/** Returns the requests of steps, with the expected logs and codes. */
const plan = (steps: readonly Step[]) => {
  const run = ++runs
  const conversations = [0, 1].map(n => ({ c: `order-${run}-${n}`, model: new Conversation() }))
  const requests: Fields[] = []
  const codes: (string | undefined)[] = []
  const deleted = new Set<string>()
  for (const [index, { c: which, kind, of }] of steps.entries()) {
    const { c, model } = conversations[which]!
    const { asked } = model
    if (['send', 'file', 'files', 'bad'].includes(kind)) {
      const m = `m${index}`
      asked.push(m)
      const attachments = {
        send: [],
        file: [files[of % 4]],
        files: files.slice(of % 3),
        bad: [files[0], refused],
      }[kind as 'send']
      requests.push({ t: 'send', c, m, text: `text ${index}`, attachments })
      codes.push(kind === 'bad' ? 'MEDIA_INCOMPLETE' : undefined)
      if (kind !== 'bad') model.posts(m, `text ${index}`)
      continue
    }
    if (asked.length === 0) continue
    const m = asked[of % asked.length]!
    const emoji = of % 2 === 0 ? '👍' : '🎉'
    if (kind === 'edit') {
      requests.push({ t: 'edit', c, m, text: `edit ${index}` })
      codes.push(model.edits(m, `edit ${index}`))
    } else if (kind === 'delete') {
      requests.push({ t: 'delete', c, m })
      // A message may be deleted twice.
      codes.push(deleted.has(`${c} ${m}`) ? undefined : model.about(m, () => `message.deleted ${m} `))
      if (codes.at(-1) === undefined) deleted.add(`${c} ${m}`)
      model.deletes(m)
    } else {
      const on = kind === 'react'
      requests.push({ t: 'react', c, m, emoji, on })
      codes.push(
        model.about(m, emojis => {
          if (emojis.has(emoji) === on) return undefined
          if (on) emojis.add(emoji)
          else emojis.delete(emoji)
          return `reaction.${on ? 'added' : 'removed'} ${m} ${emoji}`
        }),
      )
    }
  }
  return { conversations, requests, codes }
}

const inAnyCase = async (t: Test, pipeline: Pipeline): Promise<void> => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 30 }), async steps => {
      const { conversations, requests, codes } = plan(steps)
      // A later verification may end before an earlier one.
      beforeFacts = () => sleep(Math.random() * 10)
      const created = conversations.map(({ c }) => ({ t: 'create', c, kind: 'group', members: [] }))
      const answers = await pipeline([...created, ...requests])
      beforeFacts = async () => {}
      t.same(
        answers.slice(conversations.length).map(({ code }) => code),
        codes,
      )
      for (const { c, model } of conversations) t.same(await logOf(c), model.log)
      return t.passing()
    }),
    { numRuns: 25 },
  )
}

t.test('the log has the order in which a socket sent its requests', async t => {
  await inAnyCase(t, overWebSocket)
})

t.test('the log has the order in which a gRPC call sent its requests', async t => {
  await inAnyCase(t, overGrpc)
})

/** Holds verifications until `open` is called. */
const holdFacts = () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  beforeFacts = () => promise
  return () => {
    beforeFacts = async () => {}
    resolve()
  }
}
const send = (c: string, m: string, ...attachments: object[]) => ({ t: 'send', c, m, text: m, attachments })

t.test('verifications run side by side, and only their conversation waits', async t => {
  for (const c of ['here', 'there']) await alice.ok('create', { c, kind: 'group', members: [] })
  let waiting = 0
  const { promise, resolve } = Promise.withResolvers<void>()
  beforeFacts = () => {
    waiting++
    return promise
  }
  const answers = overWebSocket([
    send('here', 'a0', files[0]!),
    send('here', 't0'),
    send('here', 'a1', files[1]!),
    { t: 'edit', c: 'here', m: 'a0', text: 'edited' },
    { t: 'mute', c: 'here', on: true },
  ])
  t.match(await overWebSocket([send('there', 't1'), { t: 'edit', c: 'there', m: 't1', text: 'x' }]), [
    { ok: true },
    { ok: true },
  ])
  t.match(await alice.ok('history', { c: 'here' }), { head: 1 })
  while (waiting < 2) await sleep(1)
  beforeFacts = async () => {}
  resolve()
  t.ok((await answers).every(({ ok }) => ok))
  t.same(await logOf('here'), [
    'message.posted a0 edited',
    'message.posted t0 t0',
    'message.posted a1 a1',
    'message.edited a0 edited',
  ])
})

t.test('requests behind a failed send run, in order', async t => {
  await alice.ok('create', { c: 'failed', kind: 'group', members: [] })
  const answers = await overWebSocket([
    send('failed', 'a0', refused),
    send('failed', 'a1', files[0]!),
    send('failed', 't0'),
    { t: 'edit', c: 'failed', m: 'a0', text: 'x' },
    { t: 'react', c: 'failed', m: 'a0', emoji: '👍', on: true },
    { t: 'delete', c: 'failed', m: 'a0' },
    { t: 'edit', c: 'failed', m: 'a1', text: 'x' },
  ])
  t.same(
    answers.map(({ code }) => code),
    ['MEDIA_INCOMPLETE', undefined, undefined, 'NOT_FOUND', 'NOT_FOUND', 'NOT_FOUND', undefined],
  )
  t.same(await logOf('failed'), ['message.posted a1 x', 'message.posted t0 t0', 'message.edited a1 x'])
})

t.test('a client need not wait for a new conversation before it uses it', async t => {
  const answers = await overWebSocket([
    { t: 'create', c: 'new', kind: 'group', members: [] },
    send('new', 'a0', files[0]!),
    send('new', 't0'),
    { t: 'invite', c: 'new', user: 'bob' },
    { t: 'mute', c: 'new', on: true },
    { t: 'read', c: 'new', seq: 1 },
    { t: 'delivered', c: 'new', seq: 1 },
    send('new', 'a1', files[1]!),
    { t: 'remove', c: 'new', user: 'bob' },
    { t: 'rename', c: 'new', title: 'Tea' },
  ])
  t.same(
    answers.map(({ code }) => code),
    Array(10).fill(undefined),
  )
  t.same(await logOf('new'), [
    'message.posted a0 a0',
    'message.posted t0 t0',
    'member.joined bob ',
    'message.posted a1 a1',
    'member.left bob ',
    'conversation.renamed  ',
  ])
})

t.test('nor before it uses a channel that it joins, also one that is full', async t => {
  const owner = await confab.connect('owner')
  for (const [c, members] of [
    ['open', []],
    ['full', ['bob']],
  ] as const) {
    await owner.ok('create', { c, kind: 'channel', members })
    const answers = await overWebSocket([
      { t: 'join', c },
      send(c, 'a0', files[0]!),
      send(c, 't0'),
      { t: 'leave', c },
      send(c, 't1'),
      send(c, 'a1', files[1]!),
      { t: 'join', c },
      send(c, 't2'),
      { t: 'mute', c, on: true },
    ])
    const codes = answers.map(({ code }) => code)
    const expected = Array(9).fill(undefined)
    expected[4] = expected[5] = 'NOT_MEMBER'
    t.same(codes, expected, c)
    const { events } = await owner.ok('history', { c })
    const posted = (events as Fields[]).filter(({ type }) => type === 'message.posted').map(({ m }) => m)
    t.same(posted, ['a0', 't0', 't2'], c)
  }
})

t.test('requests that a socket sent before it closed are executed, and leave nothing behind', async t => {
  await alice.ok('create', { c: 'closed', kind: 'group', members: [] })
  const open = holdFacts()
  const socket = await confab.connect('alice')
  for (const frame of withIds([send('closed', 'a0', files[0]!), send('closed', 't0')])) socket.send(frame)
  await socket.settled()
  socket.close()
  await socket.closed
  open()
  while (((await alice.ok('history', { c: 'closed' })).head as number) < 3) await sleep(5)
  t.same(await logOf('closed'), ['message.posted a0 a0', 'message.posted t0 t0'])
})
