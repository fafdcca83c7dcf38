import type { MessagePosted } from '../../events/index.ts'
import type { Origin } from './aggregate.ts'

/** The last message of a member. */
interface LastPost {
  /** Time of the message, ms since 1970. */
  readonly at: number
  /** As in the event's Origin. */
  readonly seenAt: number | undefined
  readonly isLive: boolean
}

/**
 * Slow mode of a conversation: the interval between two messages of a plain member, and the last messages of those who
 * have to wait.
 */
export interface SlowMode {
  readonly seconds: number
  /** User to last message, oldest first. Entries past the interval are removed. */
  readonly posted: Map<string, LastPost>
}

/** How much later than it was stored a process may receive a live event, ms, without a longer wait for its author. */
const liveDelayMs = 1_000

/**
 * Members whose last message is kept. With more posters within the interval, the oldest entry is dropped: that member
 * may post at once.
 */
export const slowModeMembers = 4_096

/** Returns slow mode with a new interval; undefined when it is off. Keeps the times of last messages. */
export const slowModeOf = (seconds: number, before: SlowMode | undefined): SlowMode | undefined =>
  seconds === 0 ? undefined : { seconds, posted: before?.posted ?? new Map() }

/** Records a message of a plain member. Removes entries past the interval. */
export const notePosted = (
  { seconds, posted }: SlowMode,
  { from, at }: MessagePosted,
  { seenAt, isLive = false }: Origin,
): void => {
  const time = Date.parse(at)
  posted.delete(from)
  posted.set(from, { at: time, seenAt, isLive })
  for (const [user, last] of posted) {
    if (elapsedSince(last, time, seenAt) < seconds * 1_000 && posted.size <= slowModeMembers) break
    posted.delete(user)
  }
}

/**
 * Returns how long a member has to wait, whole ms, at most the interval. `at`: the time of the command. `now`: the
 * monotonic clock of this process.
 */
export const waitOf = (
  { seconds, posted }: SlowMode,
  user: string,
  at: string,
  now: number | undefined,
): number => {
  const last = posted.get(user)
  if (last === undefined) return 0
  const intervalMs = seconds * 1_000
  return Math.min(Math.max(Math.ceil(intervalMs - elapsedSince(last, Date.parse(at), now)), 0), intervalMs)
}

/**
 * Returns the time since a message, ms. The clocks of nodes may differ, and may be set back. The monotonic clock of
 * this process is reliable, and counts from when the process applied the message:
 * - At least that time has passed, whatever the clocks say.
 * - Hardly more has passed if the process applied the message when it was stored.
 */
const elapsedSince = ({ at, seenAt, isLive }: LastPost, time: number, now: number | undefined): number => {
  const byClock = time - at
  if (seenAt === undefined || now === undefined) return byClock
  const seen = now - seenAt
  const elapsed = Math.max(byClock, seen)
  return isLive ? Math.min(elapsed, seen + liveDelayMs) : elapsed
}

/** Returns a copy that evolves independently. */
export const forkSlowMode = (slowMode: SlowMode | undefined): SlowMode | undefined =>
  slowMode === undefined ? undefined : { ...slowMode, posted: new Map(slowMode.posted) }

/** Slow mode as JSON: user and time of the last message, ms since 1970. */
interface SerialSlowMode {
  readonly seconds: number
  readonly posted: [string, number][]
}

export const serialiseSlowMode = ({ seconds, posted }: SlowMode): SerialSlowMode => ({
  seconds,
  posted: Array.from(posted, ([user, { at }]) => [user, at]),
})

/** `seenAt`: the monotonic clock of this process, ms. */
export const deserialiseSlowMode = (serial: SerialSlowMode, seenAt: number | undefined): SlowMode => ({
  seconds: serial.seconds,
  posted: new Map(serial.posted.map(([user, at]) => [user, { at, seenAt, isLive: false }])),
})
