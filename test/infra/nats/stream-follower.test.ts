import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { Family, type StoredEvent } from '../../../src/events/index.ts'
import { Digest, DigestDraft, digestSubject } from '../../../src/infra/nats/feed/digest.ts'
import { StreamFollower } from '../../../src/infra/nats/feed/stream-follower.ts'
import type { LogReader } from '../../../src/infra/nats/log/log-reader.ts'
import { asLive } from '../../../src/infra/nats/log/stored-message.ts'

const stream = 'STREAM_0'
const id = fc.integer({ min: 0, max: 3 }).map(n => `c${n}`)
/** Types of events by family, of the same weights. Events of the first family are named or described by digests. */
const types = {
  conv: ['message.posted', 'message.posted', 'message.posted', 'member.joined', ''],
  user: ['read.marked', 'delivered.marked', 'read.marked', 'user.blocked', ''],
} as const
const type = fc.integer({ min: 0, max: types.conv.length - 1 })

/** Events on a stream and on the way from it to a follower. */
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('store' as const), c: id, about: id, type, lost: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('delete' as const), at: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('bring' as const), last: fc.boolean() }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('tell' as const),
      writer: fc.constantFrom(0, 1),
      lost: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('want' as const), c: id }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('mode' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const) }) },
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

/** A stream in memory whose copies may lag behind its leader. */
class FakeStream {
  readonly events: StoredEvent[] = []
  readonly deleted = new Set<number>()
  readonly #family: Family
  readonly #lags: readonly number[]
  #reads = 0

  constructor(family: Family, lags: readonly number[]) {
    this.#family = family
    this.#lags = lags
  }

  /** `about`: the conversation of a marker. */
  store(id: string, type: string, about: string): StoredEvent {
    const seq = this.events.filter(({ aggregate }) => aggregate.id === id).length + 1
    const envelope = { type, version: 1, seq, n: 0, actor: id, commandId: `${id}-${seq}`, epoch: 1 }
    const place = { stream, streamSeq: this.events.length + 1 }
    const at = new Date(1_790_000_000_000 + 7 * seq).toISOString()
    const event = {
      ...place,
      aggregate: { family: this.#family, id },
      envelope,
      data: Buffer.from(JSON.stringify({ u: id, seq, type, at, c: about, mark: seq })),
    }
    this.events.push(event)
    return event
  }

  /** The events that a follower has to deliver. */
  get told(): StoredEvent[] {
    return this.events.filter(
      ({ streamSeq, envelope }) => envelope.type !== '' && !this.deleted.has(streamSeq),
    )
  }

  readonly reader: Pick<LogReader, 'bounds' | 'batch' | 'leader'> = {
    bounds: async () => {
      await turn()
      return { first: 1, last: this.events.length, missing: 0, isLed: true, isMirror: false }
    },
    batch: async (_stream, { seq = 1, batch }) => {
      await turn()
      const lag = this.#lags[this.#reads++ % this.#lags.length] ?? 0
      const there = this.events.slice(0, this.events.length - lag)
      return there
        .filter(event => event.streamSeq >= seq && !this.deleted.has(event.streamSeq))
        .slice(0, batch)
    },
    leader: async (_stream, request) => {
      await turn()
      const from = 'seq' in request ? request.seq : 1
      return this.events.find(event => event.streamSeq >= from && !this.deleted.has(event.streamSeq))
    },
  }
}

/** The conversation that a marker is about. */
const aboutOf = (event: StoredEvent): string => JSON.parse(Buffer.from(event.data).toString()).c

/** Whatever is lost, late, duplicated or needed only later: the follower delivers each event once, in order. */
const run = async (family: Family, steps: readonly Step[], lags: readonly number[]): Promise<void> => {
  const log = new FakeStream(family, lags)
  /** Conversations; of users, also users, whose ids are the same. */
  const wanted = new Set<string>()
  const isWanted = (event: StoredEvent): boolean =>
    wanted.has(event.aggregate.id) || (family === Family.user && wanted.has(aboutOf(event)))
  const seen: number[] = []
  const wrong: string[] = []
  const follower = new StreamFollower(stream, {
    isCopy: () => false,
    changesHome: false,
    reader: log.reader as LogReader,
    deliver: ({ streamSeq, aggregate, type, envelope, data }) => {
      seen.push(streamSeq)
      const stored = log.events[streamSeq - 1]!
      if (aggregate.id !== stored.aggregate.id || aggregate.family !== family)
        wrong.push(`${streamSeq} is of ${aggregate.family} ${aggregate.id}`)
      if (type !== stored.envelope.type || envelope.seq !== stored.envelope.seq)
        wrong.push(`${streamSeq} is ${type} ${envelope.seq}`)
      if (Buffer.compare(data, stored.data) !== 0) wrong.push(`${streamSeq} has another body`)
    },
    skip: ({ family: of, id }, seq, { streamSeq }) => {
      seen.push(streamSeq)
      const stored = log.events[streamSeq - 1]!
      const { aggregate, envelope } = stored
      if (aggregate.id !== id || of !== family || envelope.seq !== seq)
        wrong.push(`${streamSeq} is not ${id} ${seq}`)
      if (isWanted(stored) || ['member.joined', 'user.blocked'].includes(envelope.type))
        wrong.push(`${streamSeq} was passed over`)
    },
    needsConversation: c => wanted.has(c),
    needsMarkers: (user, c) => wanted.has(user) || wanted.has(c),
    digestsFailed: () => {},
    notice: notice => void wrong.push(notice),
  })
  await follower.start()
  follower.isNarrow = true

  const onTheirWay: StoredEvent[] = []
  const writers = [0, 1].map(() => ({ position: 0, draft: new DigestDraft(0) }))
  const tell = (writer: number, isLost: boolean): void => {
    const its = writers[writer]!
    for (; its.position < log.events.length; its.position++) {
      const event = log.events[its.position]!
      if (event.envelope.type !== '') its.draft.add(asLive(event))
    }
    const digest = its.draft.encode(its.position)
    its.draft = new DigestDraft(its.position)
    if (!isLost) follower.acceptDigest(new Digest(digestSubject(stream), digest))
  }
  for (const each of steps)
    switch (each.do) {
      case 'store': {
        const event = log.store(each.c, types[family][each.type]!, each.about)
        // There are subscriptions to conversations, none to users.
        const isSubscribed = !follower.isNarrow || (family === Family.conversation && wanted.has(each.c))
        if (!each.lost && isSubscribed) onTheirWay.push(event)
        break
      }
      case 'delete': {
        // Events that were already delivered may have been, deleted or not.
        const event = log.events[each.at % Math.max(1, log.events.length)]
        if (event !== undefined && event.streamSeq > (seen.at(-1) ?? 0)) log.deleted.add(event.streamSeq)
        break
      }
      case 'bring': {
        const event = each.last ? onTheirWay.pop() : onTheirWay.shift()
        if (event !== undefined) follower.accept(asLive(event))
        break
      }
      case 'tell':
        tell(each.writer, each.lost)
        break
      case 'want':
        if (!wanted.delete(each.c)) wanted.add(each.c)
        break
      case 'mode':
        follower.isNarrow = !follower.isNarrow
        break
      case 'wait':
        await turn()
    }
  // The writer continues, and the next digest reveals the gap.
  tell(0, false)
  for (let turns = 0; follower.position !== log.events.length && turns < 10_000; turns++) await turn()
  follower.stop()
  if (follower.position !== log.events.length)
    wrong.push(`stuck at ${follower.position} of ${log.events.length}`)
  const lacking = log.told.map(({ streamSeq }) => streamSeq).filter(streamSeq => !seen.includes(streamSeq))
  if (lacking.length > 0) wrong.push(`lacks ${lacking}`)
  if (seen.some((streamSeq, index) => index > 0 && streamSeq <= seen[index - 1]!))
    wrong.push(`order: ${seen}`)
  if (wrong.length > 0) throw new Error(wrong.join('; '))
}

t.test('each event once, in order, delivered or skipped, over any transport', async t => {
  for (const family of Object.values(Family)) {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 5, maxLength: 120, size: 'max' }),
        fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 1, maxLength: 4 }),
        (steps, lags) => run(family, steps, lags),
      ),
      { numRuns: 1_000 },
    )
    t.pass(`1,000 ways of ${family}`)
  }
})
