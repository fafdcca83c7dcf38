import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { EventLog } from '../../src/commands/index.ts'
import type { StoredEvent } from '../../src/events/index.ts'
import { startConfab } from '../harness/confab.ts'
import type { RawClient } from '../harness/raw-client.ts'

/** Called when the edge has read a part of the log, before it continues. */
let between: (() => Promise<void>) | undefined

async function* interrupted(batches: AsyncIterable<readonly StoredEvent[]>) {
  for await (const batch of batches) {
    yield batch
    await between?.()
  }
  await between?.()
}

const confab = await startConfab(t, {
  limits: { resumeBuffer: 8 },
  wrapLog: (log): EventLog => ({
    streamOf: aggregate => log.streamOf(aggregate),
    append: (...args) => log.append(...args),
    last: aggregate => log.last(aggregate),
    read: (aggregate, after) => interrupted(log.read(aggregate, after)),
  }),
})
const alice = await confab.connect('alice')
let messages = 0
const send = (c: string, count = 1) =>
  Promise.all(
    Array.from({ length: count }, () =>
      alice.ok('send', { c, m: `m${messages++}`, text: `message ${messages}` }),
    ),
  )

const group = async (c: string, count: number) => {
  await alice.ok('create', { c, kind: 'group', members: ['bob'] })
  // At most as many at a time as one socket may have unanswered.
  for (let at = 0; at < count; at += 100) await send(c, Math.min(100, count - at))
}

const range = (from: number, to: number) =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, n) => from + n)
const isOutcome = (c: string) => (frame: Record<string, unknown>) =>
  (frame.t === 'synced' || frame.t === 'refetch') && frame.c === c

/** Returns the received events and `synced`, in order. */
const told = (socket: RawClient, c: string) =>
  socket.frames
    .filter(frame => frame.c === c && (frame.t === 'event' || frame.t === 'synced'))
    .map(frame => (frame.t === 'event' ? frame.seq : `synced ${frame.seq}`))

t.test('missed events in order, then synced, then live events', async t => {
  await group('tea', 9)
  const bob = await confab.connect('bob', { resume: { tea: 4 } })
  t.match(await bob.find(isOutcome('tea')), { t: 'synced', seq: 10 })
  await send('tea', 3)
  await bob.event('tea', 13)
  t.same(told(bob, 'tea'), [...range(5, 10), 'synced 10', 11, 12, 13])
})

t.test('nothing missed', async t => {
  await group('quiet', 2)
  const bob = await confab.connect('bob', { resume: { quiet: 3 } })
  await bob.find(isOutcome('quiet'))
  await send('quiet')
  await bob.event('quiet', 4)
  t.same(told(bob, 'quiet'), ['synced 3', 4])
})

t.test('from the log where the views lag', async t => {
  await group('fresh', 3)
  await alice.ok('inbox')
  confab.pause()
  t.teardown(() => confab.resume())
  await send('fresh', 5)
  const bob = await confab.connect('bob', { resume: { fresh: 2 } })
  await bob.find(isOutcome('fresh'))
  await send('fresh', 2)
  await bob.event('fresh', 11)
  t.same(told(bob, 'fresh'), [...range(3, 9), 'synced 9', 10, 11])
})

for (const [name, burst] of [
  ['a few', 1],
  ['more than are held back', 20],
] as const)
  t.test(`${name} arrive during the read`, async t => {
    const c = `race${burst}`
    await group(c, 5)
    await alice.ok('inbox')
    confab.pause()
    await send(c, 3)
    let times = 0
    between = async () => {
      if (times++ < 3) await send(c, burst)
    }
    t.teardown(() => {
      between = undefined
      confab.resume()
    })
    const bob = await confab.connect('bob', { resume: { [c]: 1 } })
    const synced = await bob.find(isOutcome(c))
    t.equal(synced.t, 'synced')
    await send(c, 2)
    const { head } = await alice.ok('history', { c, limit: 1 })
    await bob.event(c, head as number)
    t.same(bob.seqs(c), range(2, head as number), 'each once, in order')
    t.ok(times > 1)
  })

t.test('under a steady stream of messages, many times', async t => {
  const c = 'busy'
  await group(c, 30)
  let isOver = false
  const stream = (async () => {
    while (!isOver) await send(c, 4)
  })()
  const bobs: RawClient[] = []
  for (let n = 0; n < 20; n++) {
    const bob = await confab.connect('bob', { resume: { [c]: n } })
    bobs.push(bob)
    await sleep(Math.random() * 10)
  }
  for (const bob of bobs) await bob.find(isOutcome(c))
  isOver = true
  await stream
  const head = (await alice.ok('history', { c, limit: 1 })).head as number
  for (const [n, bob] of bobs.entries()) {
    await bob.event(c, head)
    t.same(bob.seqs(c), range(n + 1, head))
  }
})

t.test('refetch with its reason, and live events nevertheless for a member', async t => {
  await group('far', 1005)
  await alice.ok('create', { c: 'secret', kind: 'group', members: [] })
  await alice.ok('create', { c: 'left', kind: 'group', members: ['bob'] })
  await alice.ok('remove', { c: 'left', user: 'bob' })
  await group('ahead', 1)
  const resume = { far: 1, secret: 1, left: 1, nothing: 5, ahead: 3 }
  const bob = await confab.connect('bob', { resume })
  const outcome = async (c: string) => await bob.find(isOutcome(c))
  t.match(await outcome('far'), { t: 'refetch', reason: 'too_far', head: 1006 })
  t.match(await outcome('ahead'), { t: 'refetch', reason: 'unknown', head: 2 })
  for (const c of ['secret', 'left', 'nothing'])
    t.same(await outcome(c), { t: 'refetch', c, reason: 'not_member', head: 0 })
  await send('far')
  await send('ahead')
  await bob.event('far', 1007)
  await bob.event('ahead', 3)
  t.same(bob.seqs('far'), [1007])
  t.same(bob.seqs('ahead'), [3])
})

t.test('sync works the same way, and other conversations continue', async t => {
  await group('asked', 6)
  await group('other', 1)
  const bob = await confab.connect('bob')
  await bob.ok('sync', { cursors: { asked: 2 } })
  await bob.find(isOutcome('asked'))
  await send('asked')
  await send('other')
  await bob.event('asked', 8)
  await bob.event('other', 3)
  t.same(told(bob, 'asked'), [3, 4, 5, 6, 7, 'synced 7', 8])
})

t.test('removed during the read: no further events, and refetch', async t => {
  await group('ending', 3)
  await alice.ok('inbox')
  confab.pause()
  await send('ending', 3)
  let isRemoved = false
  between = async () => {
    if (isRemoved) return
    isRemoved = true
    await alice.ok('remove', { c: 'ending', user: 'bob' })
    await send('ending', 3)
  }
  t.teardown(() => {
    between = undefined
    confab.resume()
  })
  const bob = await confab.connect('bob', { resume: { ending: 1 } })
  t.match(await bob.find(isOutcome('ending')), { t: 'refetch', reason: 'not_member', head: 0 })
  await send('ending', 2)
  await alice.event('ending', 13)
  await bob.settled()
  t.ok(
    bob.seqs('ending').every(seq => seq <= 8),
    String(bob.seqs('ending')),
  )
})

t.test('a resume of a thousand conversations', async t => {
  const names = Array.from({ length: 1000 }, (_, n) => `many${n}`)
  for (let at = 0; at < names.length; at += 100)
    await Promise.all(
      names.slice(at, at + 100).map(c => alice.ok('create', { c, kind: 'group', members: ['bob'] })),
    )
  const bob = await confab.connect('bob', { resume: Object.fromEntries(names.map(c => [c, 0])) })
  for (const c of names) await bob.find(isOutcome(c))
  t.ok(names.every(c => String(told(bob, c)) === '1,synced 1'))
  t.equal(
    await bob.code('sync', { cursors: Object.fromEntries([...names, 'more'].map(c => [c, 0])) }),
    'BAD_REQUEST',
  )
})
