import fc from 'fast-check'
import t from 'tap'
import { openApiDocument } from '../../src/edge/transports/http/openapi.ts'
import { Requests, type RequestType } from '../../src/events/index.ts'
import { startConfab } from '../harness/confab.ts'
import { EventSourceClient } from '../harness/event-source.ts'
import { GrpcClient } from '../harness/grpc-client.ts'
import type { Fields, RawClient } from '../harness/raw-client.ts'
import { httpOf, png, upload } from '../harness/upload.ts'

// A channel's own log accepts two members: later ones follow the channel.
const confab = await startConfab(t, { commands: { channelMembers: 2 }, edge: { grpcPort: 0 } })
const alice = await confab.connect('alice')
const http = httpOf(confab, 'bob')

/** Whether answers, frames or bodies have a word anywhere. */
const holds = (answers: readonly unknown[], word: string): boolean => JSON.stringify(answers).includes(word)

const outcome = (socket: RawClient, c: string) =>
  socket.find(frame => (frame.t === 'synced' || frame.t === 'refetch') && frame.c === c)

/** Returns everything that a user can read of a conversation, by each way. */
const readAll = async (
  user: string,
  c: string,
  {
    messages,
    words,
    files,
    cursor,
  }: { messages: string[]; words: string[]; files: string[]; cursor: string },
): Promise<Record<string, unknown[]>> => {
  const socket = await confab.connect(user)
  const rest = httpOf(confab, user)
  const { head } = await socket.ok('conversation', { c })
  const seqs = Array.from({ length: (head as number) + 1 }, (_, n) => n)
  const all: Record<string, unknown[]> = {
    conversation: [await socket.ok('conversation', { c })],
    history: [
      await socket.ok('history', { c }),
      await socket.ok('history', { c, after: 0 }),
      ...(await Promise.all(
        seqs.map(before => socket.request('history', { c, before: before + 1, limit: 3 })),
      )),
      ...(await Promise.all(seqs.map(after => socket.request('history', { c, after, limit: 2 })))),
    ],
    around: await Promise.all(
      messages.map(async around => {
        const { error, ...answer } = await socket.request('history', { c, around, limit: 3 })
        return { ...answer, error }
      }),
    ),
    inbox: [await socket.ok('inbox')],
    undelivered: [await socket.ok('undelivered')],
    members: [await socket.ok('members', { c })],
    search: (
      await Promise.all(
        // A hit would repeat the word of the request.
        words.flatMap(q => [socket.ok('search', { q, c }), socket.ok('search', { q, limit: 1 })]),
      )
    ).map(({ re: _, ...answer }) => answer),
    http: [
      (await rest.call(`/v1/conversations/${c}/events?limit=200`)).body,
      (await rest.call(`/v1/inbox`)).body,
    ],
    media: await Promise.all(
      files.map(async id => {
        const { status, headers } = await rest.call(`/v1/conversations/${c}/media/${id}`)
        if (status !== 302) return status
        return await (await fetch(new URL(headers.get('location')!, confab.url))).text()
      }),
    ),
  }
  all.resume = []
  for (const seq of seqs) {
    const resumed = await confab.connect(user, { resume: { [c]: seq } })
    await outcome(resumed, c)
    all.resume.push(...resumed.frames)
    resumed.close()
  }
  const late = await confab.connect(user)
  await late.ok('sync', { cursors: { [c]: 0 } })
  await outcome(late, c)
  all.sync = late.frames
  const grpc = new GrpcClient(confab.edge.grpcPort!, { token: await confab.token(user) })
  await grpc.ok('hello', { resume: [{ c, seq: 0 }] })
  await grpc.find(({ synced, refetch }) => [synced, refetch].some(push => (push as Fields)?.c === c))
  await grpc.ok('history', { c })
  all.grpc = grpc.frames
  const stream = new EventSourceClient(confab.url, await confab.token(user), { lastEventId: cursor })
  await stream.until(() => [...stream.of('synced'), ...stream.of('refetch')].some(push => push.c === c))
  all.stream = stream.messages
  await stream.stop()
  grpc.close()
  late.close()
  socket.close()
  return all
}

/** Returns the id of an event stream that has received everything up to now. */
const streamCursor = async (user: string): Promise<string> => {
  const stream = new EventSourceClient(confab.url, await confab.token(user))
  await stream.until(() => stream.lastEventId !== '')
  await stream.stop()
  return stream.lastEventId
}

const lagging = [[], ['timeline'], ['timeline', 'search']] as const

for (const kind of ['group', 'channel'] as const)
  for (const paused of lagging)
    t.test(
      `a ${kind} with the history from the joining on, ${paused.join() || 'no view'} lagging`,
      async t => {
        const c = `${kind}-${paused.length}`
        const cursor = await streamCursor('bob')
        const secret = `secret${kind}${paused.length}`
        const word = `word${kind}${paused.length}`
        const file = await upload(confab, 'alice', png(secret))
        const later = await upload(confab, 'alice', png(word))
        await alice.ok('create', { c, kind, members: ['zoe'], historyFrom: 'join' })
        await alice.ok('send', { c, m: `${c}-1`, text: `${secret} one`, attachments: [file] })
        await alice.ok('send', { c, m: `${c}-2`, text: `${secret} two` })
        await alice.ok('inbox')
        if (paused.length > 0) confab.pause(...paused)
        t.teardown(() => paused.length > 0 && confab.resume(...paused))
        const bob = await confab.connect('bob')
        await (kind === 'group' ? alice.ok('invite', { c, user: 'bob' }) : bob.ok('join', { c }))
        t.notOk(holds([await bob.ok('inbox')], secret), 'nothing has happened since')
        await alice.ok('send', { c, m: `${c}-3`, text: `${word} three`, attachments: [later] })
        const about = {
          messages: [1, 2, 3].map(n => `${c}-${n}`),
          words: [secret, word],
          files: [file.mediaId, later.mediaId],
          cursor,
        }
        const told = await readAll('bob', c, about)
        for (const [name, answers] of Object.entries(told)) t.notOk(holds(answers, secret), name)
        const isWithout = ['conversation', 'undelivered', 'members', 'resume', 'sync', 'stream']
        if (paused.length > 1) isWithout.push('search')
        for (const [name, answers] of Object.entries(told))
          if (!isWithout.includes(name)) t.ok(holds(answers, word), `${name} has what bob may read`)
        t.match(told.around, [
          { error: { code: 'NOT_FOUND', field: '/around' } },
          { error: { code: 'NOT_FOUND' } },
          {},
        ])
        t.same(told.media![0], 404)
        t.match(told.conversation, [{ first: 4, historyFrom: 'join' }])
        t.match(told.history?.[0], { first: 4, more: false, events: [{ seq: 4 }] })
        t.match(told.history?.[1], { first: 4, more: false, events: [{ seq: 4 }] })
        t.notOk(holds(bob.frames, secret), 'live')
        t.ok(
          holds(Object.values(await readAll('zoe', c, about)), secret),
          'the first members read everything',
        )

        // Removed and added again: the latest joining counts.
        await alice.ok('remove', { c, user: 'bob' })
        await alice.ok('send', { c, m: `${c}-4`, text: `${word}away` })
        await (kind === 'group' ? alice.ok('invite', { c, user: 'bob' }) : bob.ok('join', { c }))
        const again = await readAll('bob', c, { ...about, messages: [...about.messages, `${c}-4`] })
        for (const [name, answers] of Object.entries(again)) t.notOk(holds(answers, word), `${name}, again`)
        // The setting as it is now holds for all.
        await alice.ok('settings', { c, historyFrom: 'start' })
        t.ok(holds([await bob.ok('history', { c })], secret))
      },
    )

t.test('a follower who becomes an admin keeps what it may read', async t => {
  const c = 'promoted'
  await alice.ok('create', { c, kind: 'channel', members: ['zoe'], historyFrom: 'join' })
  const bob = await confab.connect('bob')
  await alice.ok('send', { c, m: 'p1', text: 'before' })
  await bob.ok('join', { c })
  await alice.ok('send', { c, m: 'p2', text: 'after' })
  await alice.ok('role', { c, user: 'bob', role: 'admin' })
  t.match(await bob.ok('history', { c }), { first: 3, events: [{ seq: 3 }, { seq: 4 }], more: false })
})

t.test('only users who may read all of a conversation learn which content it has', async t => {
  const c = 'dedupe'
  const bytes = png('dedupe')
  const attachment = await upload(confab, 'alice', bytes)
  await alice.ok('create', { c, kind: 'group', members: ['zoe'], historyFrom: 'join' })
  await alice.ok('send', { c, m: 'd1', text: '', attachments: [attachment] })
  await alice.ok('invite', { c, user: 'bob' })
  const { mediaId: _, ...described } = attachment
  t.match(await http.request('media', { c, ...described }), { verified: false })
  t.match(await httpOf(confab, 'zoe').request('media', { c, ...described }), { verified: true })
})

t.test('a deleted message has no content, and an edited one its last text, by every way', async t => {
  for (const paused of lagging)
    await t.test(`${paused.join() || 'no view'} lagging`, async t => {
      const c = `content-${paused.length}`
      const [secret, word] = [`deleted${paused.length}`, `kept${paused.length}`]
      const cursor = await streamCursor('zoe')
      const file = await upload(confab, 'alice', png(secret))
      await alice.ok('create', { c, kind: 'group', members: ['zoe'] })
      await alice.ok('send', { c, m: `${c}-1`, text: `${secret} one`, attachments: [file] })
      await alice.ok('send', { c, m: `${c}-2`, text: `${secret} two` })
      await alice.ok('send', { c, m: `${c}-3`, text: `${secret} three` })
      await alice.ok('edit', { c, m: `${c}-3`, text: `${secret} four` })
      const zoe = await confab.connect('zoe', { resume: { [c]: 1 } })
      await outcome(zoe, c)
      await alice.ok('inbox')
      if (paused.length > 0) confab.pause(...paused)
      t.teardown(() => paused.length > 0 && confab.resume(...paused))
      await alice.ok('edit', { c, m: `${c}-1`, text: `${secret} edited` })
      await alice.ok('delete', { c, m: `${c}-1` })
      await alice.ok('edit', { c, m: `${c}-2`, text: `${word} two` })
      await alice.ok('edit', { c, m: `${c}-3`, text: `${secret} five` })
      await alice.ok('edit', { c, m: `${c}-3`, text: `${word} three` })
      await alice.ok('react', { c, m: `${c}-3`, emoji: '👍', on: true })
      const about = {
        messages: [1, 2, 3].map(n => `${c}-${n}`),
        words: [secret],
        files: [file.mediaId],
        cursor,
      }
      for (const user of ['zoe', 'alice']) {
        const told = await readAll(user, c, about)
        for (const [name, answers] of Object.entries(told))
          t.notOk(holds(answers, secret), `${name} of ${user}`)
        for (const name of ['history', 'around', 'inbox', 'http', 'resume', 'sync', 'grpc', 'stream'])
          t.ok(holds(told[name]!, word), `${name} of ${user} has the current texts`)
        t.match(told.media, [404])
      }
      const { events } = (await zoe.ok('history', { c })) as { events: Fields[] }
      t.same(
        events.map(({ seq }) => seq),
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
        'every event keeps its place',
      )
      t.same(events[1], {
        ...{ t: 'event', c, seq: 2, type: 'message.posted', from: 'alice', at: events[1]!.at },
        ...{ m: `${c}-1`, n: 1, text: '', deleted: true },
      })
      t.match(events[5], { type: 'message.edited', messageSeq: 2, text: '', deleted: true })
      t.match(events[2], { text: `${word} two`, editedAt: events[7]!.at })
      t.match(events[3], { text: `${word} three`, editedAt: events[9]!.at })
      t.match(events[4], { type: 'message.edited', text: `${word} three` })
      // A client that misses the deletion alone applies it in order.
      const resumed = await confab.connect('zoe', { resume: { [c]: 6 } })
      await outcome(resumed, c)
      t.same(resumed.seqs(c), [7, 8, 9, 10, 11])
    })
})

t.test('a file of two messages is served until both are deleted', async t => {
  const c = 'twice'
  const file = await upload(confab, 'alice', png('twice'))
  await alice.ok('create', { c, kind: 'group', members: ['bob'] })
  for (const m of ['t1', 't2']) await alice.ok('send', { c, m, text: m, attachments: [file] })
  const status = async () => (await http.call(`/v1/conversations/${c}/media/${file.mediaId}`)).status
  t.equal(await status(), 302)
  await alice.ok('delete', { c, m: 't1' })
  t.equal(await status(), 302)
  await alice.ok('delete', { c, m: 't2' })
  t.equal(await status(), 404)
})

t.test('every request that returns content is read above', async t => {
  const read = ['conversation', 'history', 'inbox', 'undelivered', 'members', 'search', 'sync', 'media']
  // Their answers have no content of messages. All others are read above, or are commands.
  const without: RequestType[] = [
    ...(['presence', 'typing', 'call', 'ping', 'bans', 'profiles', 'sessions'] as const),
    'invitations',
  ]
  const commands = Object.keys(Requests).filter(
    name => !read.includes(name) && !(without as string[]).includes(name),
  )
  t.same(
    commands.sort(),
    [
      ...['accept', 'ban', 'block', 'create', 'decline', 'delete', 'delivered', 'direct', 'edit', 'hide'],
      ...[
        'invite',
        'join',
        'leave',
        'mute',
        'privacy',
        'profile',
        'react',
        'read',
        'remove',
        'rename',
        'role',
        'send',
      ],
      ...['settings', 'unban'],
    ],
    'a new request: read it in readAll, or name it here',
  )
  t.same(
    Object.entries((JSON.parse(openApiDocument()) as { paths: object }).paths)
      .filter(([, methods]) => Object.hasOwn(methods as object, 'get'))
      .map(([path]) => path)
      .sort(),
    [
      ...['/healthz', '/readyz'],
      ...['/v1/conversations/{c}/events', '/v1/conversations/{c}/media/{mediaId}', '/v1/inbox'],
      '/v1/invitations',
      ...['/v1/media/{mediaId}', '/v1/search', '/v1/stream', '/v1/undelivered'],
    ],
    'a new route: read it in readAll, or name it here',
  )
})

type Step =
  | {
      readonly t: 'post' | 'edit' | 'delete'
      readonly m: number
      readonly data: 'set' | 'removed' | undefined
    }
  | { readonly t: 'come' | 'go' | 'flip' | 'lag' }

const steps = fc.array(
  fc.oneof(
    fc.record({
      t: fc.constantFrom('post', 'edit', 'edit', 'delete'),
      m: fc.nat(4),
      data: fc.constantFrom('set', 'removed', undefined),
    }),
    fc.record({ t: fc.constantFrom('come', 'go', 'flip', 'lag') }),
  ) as fc.Arbitrary<Step>,
  { minLength: 4, maxLength: 14 },
)

t.test(
  'for any history: no read returns content that was deleted, replaced, or from before the joining',
  async t => {
    let runs = 0
    await t.resolves(
      fc.assert(
        fc.asyncProperty(steps, async steps => {
          const c = `any-${runs++}`
          const cursor = await streamCursor('bob')
          await alice.ok('create', { c, kind: 'group', members: [] })
          const messages = new Map<
            number,
            {
              seq: number
              changed: number
              word: string | undefined
              /** The word of the data, and the seq of the event that set it. */
              data?: { word: string; seq: number } | undefined
            }
          >()
          let words = 0
          let joined: number | undefined
          let isFromJoin = false
          let isLagging = false
          try {
            for (const step of steps)
              switch (step.t) {
                case 'come':
                  joined ??= (await alice.ok('invite', { c, user: 'bob' })).seq as number
                  break
                case 'go':
                  if (joined !== undefined) await alice.ok('remove', { c, user: 'bob' })
                  joined = undefined
                  break
                case 'flip':
                  isFromJoin = !isFromJoin
                  await alice.ok('settings', { c, historyFrom: isFromJoin ? 'join' : 'start' })
                  break
                case 'lag':
                  isLagging = !isLagging
                  if (isLagging) confab.pause('timeline')
                  else confab.resume('timeline')
                  break
                default: {
                  const message = messages.get(step.m)
                  const m = `${c}-${step.m}`
                  const word = `x${runs}w${words++}x`
                  const order = `x${runs}d${words}x`
                  const set = step.data === 'set' ? { data: { order } } : undefined
                  if (step.t === 'post' && message === undefined) {
                    const sent = await alice.ok('send', { c, m, text: word, ...set })
                    const seq = sent.seq as number
                    messages.set(step.m, { seq, changed: seq, word, data: set && { word: order, seq } })
                  } else if (message?.word !== undefined && step.t !== 'post') {
                    const isEdit = step.t === 'edit'
                    const change = step.data === 'removed' ? { data: null } : set
                    const edit = { c, m, text: word, ...change }
                    const { seq } = await alice.ok(step.t, isEdit ? edit : { c, m })
                    messages.set(step.m, {
                      ...message,
                      ...(isEdit && change && { data: set && { word: order, seq: seq as number } }),
                      changed: seq as number,
                      word: isEdit ? word : undefined,
                    })
                  }
                }
              }
            if (joined === undefined) joined = (await alice.ok('invite', { c, user: 'bob' })).seq as number
            const told = await readAll('bob', c, {
              ...{
                messages: [...messages.keys()].map(m => `${c}-${m}`),
                words: [`x${runs}w*`],
                files: [],
                cursor,
              },
            })
            const first = isFromJoin ? joined : 1
            const allowed = new Set<string>()
            const expected = new Set<string>()
            const expectedData = new Set<string>()
            for (const { seq, changed, word, data } of messages.values()) {
              if (word === undefined) continue
              // An edit after the joining has the data that it sets, or a later one.
              if (data !== undefined && Math.max(seq, data.seq) >= first) allowed.add(data.word)
              if (data !== undefined && seq >= first) expectedData.add(data.word)
              if (Math.max(seq, changed) >= first) allowed.add(word)
              if (seq >= first) expected.add(word)
            }
            for (const [name, answers] of Object.entries(told))
              for (const [found] of JSON.stringify(answers).matchAll(/x\d+[wd]\d+x/g))
                if (/^x\d+/.exec(found)?.[0] === `x${runs}` && !allowed.has(found))
                  throw new Error(`${name} has ${found}`)
            for (const name of ['history', 'http', 'search'])
              for (const word of expected)
                if (!holds(told[name]!, word)) throw new Error(`${name} lacks ${word}`)
            for (const name of ['history', 'http'])
              for (const word of expectedData)
                if (!holds(told[name]!, word)) throw new Error(`${name} lacks ${word}`)
            for (const name of ['inbox', 'undelivered', 'members', 'search'])
              if (/x\d+d\d+x/.test(JSON.stringify(told[name]))) throw new Error(`${name} has data`)
          } finally {
            if (isLagging) confab.resume('timeline')
          }
        }),
        { numRuns: 25 },
      ),
    )
  },
)
