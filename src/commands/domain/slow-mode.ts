import type { MessagePosted } from '../../events/index.ts'

/**
 * Slow mode of a conversation: the interval between two messages of a plain member, and the times of their last
 * messages.
 */
export interface SlowMode {
  readonly seconds: number
  /** User to time of their last message, ms since 1970, oldest first. Entries past the interval are removed. */
  readonly posted: Map<string, number>
}

/**
 * Members whose last message is kept. With more posters within the interval, the oldest entry is dropped: that member
 * may post at once.
 */
export const slowModeMembers = 4_096

/** Returns slow mode with a new interval; undefined when it is off. Keeps the times of last messages. */
export const slowModeOf = (seconds: number, before: SlowMode | undefined): SlowMode | undefined =>
  seconds === 0 ? undefined : { seconds, posted: before?.posted ?? new Map() }

/** Records a message of a plain member. Removes entries past the interval. */
export const notePosted = ({ seconds, posted }: SlowMode, { from, at }: MessagePosted): void => {
  const now = Date.parse(at)
  posted.delete(from)
  posted.set(from, now)
  for (const [user, last] of posted) {
    if (last + seconds * 1_000 > now && posted.size <= slowModeMembers) break
    posted.delete(user)
  }
}

/** Returns how long a member has to wait, ms. At most the interval, also when the clocks of nodes differ. */
export const waitOf = ({ seconds, posted }: SlowMode, user: string, at: string): number => {
  const last = posted.get(user)
  if (last === undefined) return 0
  const intervalMs = seconds * 1_000
  return Math.min(Math.max(last + intervalMs - Date.parse(at), 0), intervalMs)
}

/** Returns a copy that evolves independently. */
export const forkSlowMode = (slowMode: SlowMode | undefined): SlowMode | undefined =>
  slowMode === undefined ? undefined : { ...slowMode, posted: new Map(slowMode.posted) }

export const serialiseSlowMode = ({ seconds, posted }: SlowMode) => ({ seconds, posted: [...posted] })

export const deserialiseSlowMode = (serial: ReturnType<typeof serialiseSlowMode>): SlowMode => ({
  seconds: serial.seconds,
  posted: new Map(serial.posted),
})
