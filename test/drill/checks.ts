import { isDeepStrictEqual } from 'node:util'
import { readViews, sameViews } from '../harness/compare-views.ts'
import { clientsSawTheLog, type Asserts as Invariants, seqsAreGapless } from '../harness/invariants.ts'
import type { Outsider } from '../harness/outsider.ts'
import { byConversation, replayEvents, type StoredEvent } from '../harness/replay.ts'
import { quantile } from './clock.ts'
import type { DrilledSystem } from './drilled-system.ts'
import type { TimedAck } from './sender.ts'

/** The assertions of a test, or of a program without one. */
export interface Asserts extends Invariants {
  strictSame(actual: unknown, expected: unknown, message: string): unknown
}

/** An event as `confab region lost ls --json` lists it. */
export interface Lost {
  readonly stream: string
  readonly streamSeq: number
  readonly c?: string
  readonly m?: string
  readonly type: string
}

/** Where the acknowledged messages are. */
export interface Found {
  readonly acked: number
  /** Acknowledged messages that are not in the log, but in the list of lost events. */
  readonly lost: number
  readonly listed: number
  /** Messages that are in the log more than once. */
  readonly doubled: number
  /** Acks of the commands nodes of each region, in order of time. */
  readonly acksOf: { readonly a: readonly TimedAck[]; readonly b: readonly TimedAck[] }
}

/** The last sequence of each stream before the home changed. */
export type Cuts = Readonly<Record<string, number>>

const keyOf = (one: { readonly c?: unknown; readonly m?: unknown }): string => `${one.c} ${one.m}`

/**
 * Every acknowledged message is in the log once, at the answered seq, or in the list of lost events; and once region b
 * had acknowledged, region a did not, until the homes went back. `failover` and `switchOver`: the cuts of both changes.
 */
export const checkAcks = (
  t: Asserts,
  log: readonly StoredEvent[],
  acked: readonly TimedAck[],
  lost: readonly Lost[],
  { failover, switchOver }: { failover: Cuts; switchOver: Cuts },
): Found => {
  const stored = new Map<string, StoredEvent[]>()
  for (const one of log)
    if (one.event.type === 'message.posted') {
      const key = keyOf(one.event)
      const known = stored.get(key)
      if (known === undefined) stored.set(key, [one])
      else known.push(one)
    }
  const listed = new Set(lost.filter(({ type }) => type === 'message.posted').map(keyOf))
  const wrong: string[] = []
  const acksOf: { a: TimedAck[]; b: TimedAck[] } = { a: [], b: [] }
  let lostAcks = 0
  const back: TimedAck[] = []
  for (const ack of acked) {
    const found = stored.get(keyOf(ack))?.[0]
    if (found === undefined) {
      lostAcks++
      acksOf.a.push(ack)
      if (!listed.has(keyOf(ack))) wrong.push(`${ack.c} ${ack.seq} ${ack.m} is neither in the log nor listed`)
      continue
    }
    const { event, stream, streamSeq } = found
    if (event.seq !== ack.seq || event.text !== ack.text || event.from !== ack.from)
      wrong.push(`${ack.c} ${ack.seq} ${ack.m} was acknowledged, the log has ${JSON.stringify(event)}`)
    if (streamSeq <= (failover[stream] ?? 0)) acksOf.a.push(ack)
    else if (streamSeq <= (switchOver[stream] ?? 0)) acksOf.b.push(ack)
    else back.push(ack)
  }
  t.same(wrong, [], `${acked.length} acknowledged messages are in the log, or listed as lost`)
  const doubled = [...stored].filter(([, found]) => found.length > 1).map(([key]) => key)
  t.same(doubled, [], 'no message is in the log twice')
  const late = acksOf.a.filter(({ at }) => at > (acksOf.b[0]?.at ?? Number.POSITIVE_INFINITY))
  t.same(late, [], 'region a acknowledged nothing after the first ack of region b')
  const early = acksOf.b.filter(({ at }) => at > (back[0]?.at ?? Number.POSITIVE_INFINITY) + sameTimeMs)
  t.same(early, [], 'region b acknowledged nothing after the homes went back')
  t.ok(acksOf.b.length > 0 && back.length > 0, 'both regions acknowledged messages as a home')
  return {
    acked: acked.length,
    lost: lostAcks,
    listed: lost.length,
    doubled: doubled.length,
    acksOf: { a: [...acksOf.a, ...back], b: acksOf.b },
  }
}

/** After a switch-over, acks of the old home are still on their way to clients of the other region. */
const sameTimeMs = 2_000

/** Both regions have the same log, without gaps. Returns it. */
export const checkLogs = async (t: Asserts, { servers }: DrilledSystem): Promise<readonly StoredEvent[]> => {
  const read = (region: string) => replayEvents(['--nats', servers.region(region).url])
  let [a, b] = await Promise.all([read('a'), read('b')])
  for (let more = 5; more > 0 && !isDeepStrictEqual(a, b); more--)
    [a, b] = await Promise.all([read('a'), read('b')])
  t.ok(isDeepStrictEqual(a, b), `both regions have the same ${b.length} events`)
  seqsAreGapless(t, byConversation(b))
  return b
}

/** Clients and views of both regions have what the log has. */
export const checkClients = async (
  t: Asserts,
  system: DrilledSystem,
  stored: readonly StoredEvent[],
  watchers: readonly Outsider[],
  users: readonly string[],
): Promise<void> => {
  const log = byConversation(stored)
  clientsSawTheLog(t, log, watchers)
  for (const watcher of watchers)
    for (const [c, events] of log)
      t.equal(watcher.head(c), events.length, `${watcher.user} has all events of ${c}`)
  const views = (region: string) => () => readViews(system.edge(region), users, ['word0'])
  await sameViews(t, { actual: views('a'), expected: views('b') }, 'views of region a and b')
  const answers = await views('a')()
  for (const [key, events] of Object.entries(answers)) {
    const [kind, , c = ''] = key.split(' ')
    if (kind === 'history') t.ok(isDeepStrictEqual(events, log.get(c)), `${key} is as the log has it`)
  }
}

/** Returns the longest time without an ack in a span of time, ms. */
export const longestPause = (acks: readonly TimedAck[], from: number, to: number): number => {
  const times = [from, ...acks.map(({ at }) => at).filter(at => at > from && at < to), to].sort(
    (x, y) => x - y,
  )
  return quantile(
    times.slice(1).map((at, index) => at - (times[index] as number)),
    1,
  )
}
