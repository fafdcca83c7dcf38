import fc from 'fast-check'
import t from 'tap'
import { type Cut, type Epochs, keptUpTo } from '../../src/commands/index.ts'
import { startConfab } from '../harness/confab.ts'
import { EventSourceClient } from '../harness/event-source.ts'

const listeners = new Set<() => void>()
let cuts: readonly Cut[] = []
const epochOf = () => cuts.at(-1)?.epoch ?? 1
const epochs: Epochs = {
  streams: ['CONV_0'],
  epochOf: stream => (stream === 'CONV_0' ? epochOf() : 1),
  cutsOf: stream => (stream === 'CONV_0' ? cuts : []),
  watch: listener => {
    listeners.add(listener)
    return () => listeners.delete(listener)
  },
}
const setCuts = (next: readonly Cut[]) => {
  cuts = next
  for (const listener of listeners) listener()
}

const confab = await startConfab(t, { edge: { epochs }, limits: { drainMs: 200 } })
const bobToken = await confab.token('bob')
const alice = await confab.connect('alice')
let messages = 0
const send = (c: string) => alice.ok('send', { c, m: `m${messages++}`, text: 'x' })
/** Stream sequences by conversation, in the order of `seq`. */
const positions = new Map<string, number[]>()
let stored = 0
const conversations = ['tea', 'oolong', 'mate']
for (const c of conversations) {
  await alice.ok('create', { c, kind: 'group', members: ['bob'] })
  positions.set(c, [++stored])
}
for (const c of ['tea', 'oolong', 'tea', 'mate', 'tea', 'oolong', 'tea', 'mate', 'oolong', 'tea']) {
  await send(c)
  positions.get(c)?.push(++stored)
}

t.test('a cursor holds exactly if its event is at or before the cuts of later epochs', async () => {
  const history = fc.record({
    cuts: fc
      .uniqueArray(
        fc.record({ epoch: fc.integer({ min: 2, max: 9 }), streamSeq: fc.integer({ min: 3, max: 13 }) }),
        {
          maxLength: 3,
          selector: ({ epoch }) => epoch,
        },
      )
      .map(found => {
        const sequences = found.map(({ streamSeq }) => streamSeq).sort((a, b) => a - b)
        const numbers = found.map(({ epoch }) => epoch).sort((a, b) => a - b)
        return numbers.map((epoch, index) => ({ epoch, streamSeq: sequences[index] as number }))
      }),
    epoch: fc.integer({ min: 1, max: 9 }),
    seqs: fc.tuple(...conversations.map(() => fc.integer({ min: 1, max: 8 }))),
  })
  await fc.assert(
    fc.asyncProperty(history, async ({ cuts, epoch, seqs }) => {
      setCuts(cuts)
      const resume = Object.fromEntries(conversations.map((c, index) => [c, seqs[index] as number]))
      const bob = await confab.socket()
      await bob.ok('hello', { token: bobToken, resume, epoch })
      for (const [c, seq] of Object.entries(resume)) {
        const outcome = await bob.find(
          frame => (frame.t === 'synced' || frame.t === 'refetch') && frame.c === c,
        )
        const at = positions.get(c)?.[seq - 1]
        const kept = keptUpTo(cuts, epoch)
        const expected =
          at === undefined
            ? kept === Number.POSITIVE_INFINITY
              ? 'unknown'
              : 'epoch'
            : at > kept
              ? 'epoch'
              : 'synced'
        if ((outcome.reason ?? outcome.t) !== expected)
          throw new Error(`${c} ${seq}: ${JSON.stringify(outcome)}, not ${expected}`)
      }
      bob.close()
    }),
    { numRuns: 60 },
  )
  setCuts([])
})

const streamFrom = async (lastEventId: string) => {
  const client = new EventSourceClient(confab.url, bobToken, { lastEventId })
  t.teardown(() => client.stop())
  await client.until(() => client.of('hello').length > 0)
  return client
}

t.test(
  'the id of an event stream has the epoch, and events beyond a later cut are fetched again',
  async t => {
    setCuts([{ epoch: 3, streamSeq: 8 }])
    const kept = await streamFrom(`2.${(8).toString(36)}`)
    await kept.until(() => kept.of('synced').length === 3)
    t.same(kept.of('refetch'), [])
    t.equal(kept.lastEventId, `2e3.${stored.toString(36)}`, 'an id that holds')
    const lost = await streamFrom(`2.${(9).toString(36)}`)
    await lost.until(() => lost.of('refetch').length === 3)
    t.ok(lost.of('refetch').every(({ reason }) => reason === 'epoch'))
    const current = await streamFrom(`2e3.${(9).toString(36)}`)
    await current.until(() => current.of('synced').length > 0)
    t.same(current.of('refetch'), [])
    setCuts([])
  },
)

t.test('clients without lost events receive the epoch, others reconnect with their own', async t => {
  const socket = await confab.socket()
  t.match(await socket.ok('hello', { token: bobToken }), { epoch: 1 })
  setCuts([{ epoch: 20, streamSeq: stored }])
  t.match(await socket.find(frame => frame.t === 'epoch'), { epoch: 20 })
  setCuts([
    { epoch: 20, streamSeq: stored },
    { epoch: 21, streamSeq: stored - 1 },
  ])
  t.match(await socket.find(frame => frame.t === 'drain'), { reconnectMs: 100 })
  t.notOk(socket.frames.some(frame => frame.t === 'epoch' && frame.epoch === 21))
  await socket.closed
  const again = await confab.socket()
  t.match(await again.ok('hello', { token: bobToken, epoch: 20, resume: { tea: 6 } }), { epoch: 21 })
  t.match(await again.find(frame => frame.t === 'refetch'), { c: 'tea', reason: 'epoch' })
})
