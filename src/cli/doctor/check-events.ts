import type { OpenNats } from '../../app/open-nats.ts'
import { openViews, viewDatabasesOf } from '../../app/open-views.ts'
import {
  type AggregateRef,
  isForeign,
  LogDamagedError,
  operatorText,
  parseSubject,
  subjectOf,
} from '../../events/index.ts'
import type { ConfabConfig } from '../../infra/config/index.ts'
import {
  countBySubject,
  discoverLog,
  JetStreamEventLog,
  type LogLayout,
  NatsError,
} from '../../infra/nats/index.ts'
import type { StreamBounds, TimelineQueries } from '../../projections/index.ts'
import { HoleFinder } from '../log-holes.ts'
import { type Operation, operateOn } from '../projections/projection-command.ts'
import { count } from '../terminal/output.ts'
import { startBar } from '../terminal/progress-bar.ts'
import { damageAdvice, type Finding, hint, ill, well } from './findings.ts'

/** Conversations and users of one stream that are checked without `--all`. */
const sampled = 1_000
/** Checks that run at the same time. */
const concurrency = 32
/** Counts of a busy subject that are taken before its events are read instead. */
const maxCounts = 5
/** Damaged conversations and users that are shown one by one. */
const maxShown = 20

const nouns = { conv: ['conversation', 'conversations'], user: ['user', 'users'] } as const

/** The log and the timeline, as a check reads them. */
interface Sources {
  readonly system: OpenNats
  readonly layout: LogLayout
  readonly log: JetStreamEventLog
  /** Undefined while there are no views. */
  readonly timeline: Pick<TimelineQueries, 'head'> | undefined
}

interface Progress {
  done: number
  total: number
}

/** Returns up to `most` random elements. */
const sample = <T>(all: readonly T[], most: number): readonly T[] => {
  const rest = [...all]
  const chosen: T[] = []
  while (chosen.length < most && rest.length > 0) {
    const index = Math.floor(Math.random() * rest.length)
    chosen.push(rest[index]!)
    rest[index] = rest.at(-1)!
    rest.pop()
  }
  return chosen
}

/** Calls `work` for each item, some at a time. */
const forEachOf = async <T>(items: Iterable<T>, work: (item: T) => Promise<void>): Promise<void> => {
  const iterator = items[Symbol.iterator]()
  const run = async (): Promise<void> => {
    for (let next = iterator.next(); next.done !== true; next = iterator.next()) await work(next.value)
  }
  await Promise.all(Array.from({ length: concurrency }, run))
}

/** Reads the events of an aggregate. Returns which ones before the last the log lacks; undefined when it has all. */
const holesIn = async ({ log }: Sources, aggregate: AggregateRef): Promise<string | undefined> => {
  const holes = new HoleFinder()
  for await (const batch of log.read(aggregate, 0)) for (const event of batch) holes.take(event, 1)
  return holes.found()
}

/** Whether the number of a subject's messages is the seq of its last event. False: unknown, or messages are missing. */
const isCountRight = async ({ system, layout, log }: Sources, aggregate: AggregateRef): Promise<boolean> => {
  const subject = subjectOf(aggregate)
  const read = async (): Promise<number> =>
    (await countBySubject(system.nats, layout.streamOf(aggregate), subject)).counts.get(subject) ?? 0
  for (let counts = 0, before = await read(); counts < maxCounts; counts++) {
    const last = await log.last(aggregate)
    const after = await read()
    if (before === after) return last?.envelope.seq === after
    before = after
  }
  return false
}

/**
 * Returns what is wrong with one aggregate; undefined when the log has all its events. `stored`: its number of
 * messages, or undefined when it was not counted.
 */
const damageOf = async (
  sources: Sources,
  aggregate: AggregateRef,
  stored: number | undefined,
): Promise<string | undefined> => {
  const { log, timeline } = sources
  // Read before the end of the log, which the timeline never passes.
  const head = aggregate.family === 'conv' ? ((await timeline?.head(aggregate.id))?.seq ?? 0) : 0
  const last = await log.last(aggregate)
  const isKnown = last !== undefined && !isForeign(last)
  const seq = isKnown ? last.envelope.seq : 0
  if (last === undefined || isKnown) {
    if (head > seq) return `${new LogDamagedError(aggregate, seq + 1, head).message}, which the timeline has`
    if (seq === stored) return undefined
  }
  return (await isCountRight(sources, aggregate)) ? undefined : await holesIn(sources, aggregate)
}

/** Yields the subjects of a stream with their numbers of messages: all, or a random sample. */
async function* subjectsToCheck(
  { system }: Sources,
  stream: string,
  isAll: boolean,
): AsyncIterable<{ readonly counts: readonly (readonly [string, number])[]; readonly total: number }> {
  const { nats } = system
  let { counts, total } = await countBySubject(nats, stream, '>')
  if (!isAll) {
    const offset = Math.floor(Math.random() * Math.max(0, total - counts.size))
    if (offset > 0) counts = (await countBySubject(nats, stream, '>', offset)).counts
    yield { counts: sample([...counts], sampled), total }
    return
  }
  for (let offset = 0; counts.size > 0; ) {
    yield { counts: [...counts], total }
    offset += counts.size
    if (offset >= total) return
    counts = (await countBySubject(nats, stream, '>', offset)).counts
  }
}

/** Checks the aggregates that one stream holds. */
const checkStream = async (
  sources: Sources,
  { stream, last, missing }: StreamBounds,
  isAll: boolean,
  progress: Progress,
  onDamage: (aggregate: AggregateRef, damage: string) => void,
  onChecked: (id: string) => void,
): Promise<Finding> => {
  const [one, many] = nouns[sources.layout.familyOf(stream)]
  let damaged = 0
  let checked = 0
  let all = 0
  for await (const { counts, total } of subjectsToCheck(sources, stream, isAll)) {
    if (all === 0) progress.total += isAll ? total : counts.length
    all = total
    await forEachOf(counts, async ([subject, stored]) => {
      const aggregate = parseSubject(subject)
      progress.done++
      checked++
      // Messages of another program, on a subject of no aggregate; or events that are checked in the stream to which
      // their partition moved.
      if (aggregate === undefined || sources.layout.streamOf(aggregate) !== stream) return
      onChecked(aggregate.id)
      const damage = await damageOf(sources, aggregate, stored)
      if (damage === undefined) return
      damaged++
      onDamage(aggregate, damage)
    })
  }
  const what = `events of ${stream}`
  const extent = `${count(checked)} of ${count(all)} ${all === 1 ? one : many} checked`
  if (missing > 0)
    return ill(what, `${count(missing)} of ${count(last)} messages are missing, ${extent}`, damageAdvice)
  if (damaged > 0) return ill(what, `${count(damaged)} ${many} have lost events, ${extent}`, damageAdvice)
  return checked < all
    ? well(what, `none is missing, ${extent}: --all checks all`)
    : well(what, `none is missing, ${extent}`)
}

/** Yields the conversations that the roster view knows. */
async function* conversationsOfRoster(operation: Operation): AsyncIterable<string> {
  const plan = await operation.plans.read('roster')
  if (plan === undefined) return
  const store = await (await operation.stores('roster')).open('roster', plan.live)
  for await (const rows of store.rows()) for (const { c } of rows) yield c
}

/** Checks conversations that only the views know: the log may have lost all of their events. */
const checkViews = async (
  sources: Sources,
  operation: Operation,
  isAll: boolean,
  known: Set<string>,
  progress: Progress,
  onDamage: (aggregate: AggregateRef, damage: string) => void,
): Promise<void> => {
  let left = isAll ? Number.POSITIVE_INFINITY : sampled
  let batch: string[] = []
  const check = async (): Promise<void> => {
    progress.total += batch.length
    await forEachOf(batch, async id => {
      progress.done++
      const aggregate = { family: 'conv', id } as const
      const damage = await damageOf(sources, aggregate, undefined)
      if (damage !== undefined) onDamage(aggregate, damage)
    })
    batch = []
  }
  for await (const c of conversationsOfRoster(operation)) {
    if (known.has(c)) continue
    known.add(c)
    batch.push(c)
    if (batch.length === sampled) await check()
    if (--left === 0) break
  }
  await check()
}

/** Opens the timeline that queries read; undefined while there is none. */
const openTimeline = async (config: ConfabConfig, { plans, stores }: Operation) => {
  const plan = await plans.read('timeline')
  if (plan === undefined) return undefined
  // Throws when the configured database does not exist.
  await stores('timeline')
  return await openViews(viewDatabasesOf(config), { timeline: plan.live })
}

/**
 * Checks that the log has all events that it has stored: of a sample of the conversations and users, or of all. The
 * number of messages of a subject has to be the seq of its last event, and no view may be ahead of it.
 */
export const checkEvents = async (
  config: ConfabConfig,
  system: OpenNats,
  isAll: boolean,
): Promise<readonly Finding[]> => {
  const progress = { done: 0, total: 0 }
  const bar = startBar(() => ({
    ...progress,
    text: `${count(progress.done)} conversations and users checked`,
  }))
  const damages = new Map<string, Finding>()
  const onDamage = ({ family, id }: AggregateRef, damage: string): void => {
    const what = `${nouns[family][0]} ${id}`
    damages.set(what, ill(what, damage, damageAdvice))
  }
  try {
    return await operateOn(config, system, async operation => {
      const layout = await discoverLog(system.nats.connection)
      const log = new JetStreamEventLog(system.nats, layout)
      const findings: Finding[] = []
      let views: Awaited<ReturnType<typeof openTimeline>>
      try {
        try {
          views = await openTimeline(config, operation)
        } catch (error) {
          findings.push(hint('timeline', `not compared with the log: ${operatorText(error)}`))
        }
        const sources = { system, layout, log, timeline: views?.timeline }
        const known = new Set<string>()
        for (const bounds of await operation.source.streams())
          findings.push(await checkStream(sources, bounds, isAll, progress, onDamage, id => known.add(id)))
        if (views !== undefined) await checkViews(sources, operation, isAll, known, progress, onDamage)
      } finally {
        await views?.close()
        log.close()
      }
      const shown = [...damages.values()].slice(0, maxShown)
      const more = damages.size - shown.length
      if (more > 0) shown.push(ill('others', `${count(more)} more have lost events`, damageAdvice))
      return [...findings, ...shown]
    })
  } catch (error) {
    // The check of the streams has reported it.
    if (NatsError.is(error) && error.code === 'NATS_STREAMS') return []
    return [ill('events', operatorText(error), 'see the message')]
  } finally {
    bar.stop()
  }
}
