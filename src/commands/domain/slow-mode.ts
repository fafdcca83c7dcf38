import type { MessagePosted } from '../../events/index.ts'

/** Slow mode that is on: how far apart a plain member's messages are to be, and when each posted last, as far as it still matters. */
export interface SlowMode {
  readonly seconds: number
  /** User to ms since 1970, in the order of their last messages. */
  readonly posted: Map<string, number>
}

/** Members whose last message is remembered; whoever is forgotten may post again at once. It takes as many posters within the time of the slow mode. */
export const slowModeMembers = 4_096

/** Undefined when it is off. What was known of last messages is kept while it stays on. */
export const slowModeOf = (seconds: number, before: SlowMode | undefined): SlowMode | undefined =>
  seconds === 0 ? undefined : { seconds, posted: before?.posted ?? new Map() }

/** A plain member has posted. Forgets those whose time is over. */
export const notePosted = ({ seconds, posted }: SlowMode, { from, at }: MessagePosted): void => {
  const now = Date.parse(at)
  posted.delete(from)
  posted.set(from, now)
  for (const [user, last] of posted) {
    if (last + seconds * 1_000 > now && posted.size <= slowModeMembers) break
    posted.delete(user)
  }
}

/** How long a member still has to wait at a time, ms; 0: not at all. Never longer than the slow mode itself, though clocks of nodes differ. */
export const waitOf = ({ seconds, posted }: SlowMode, user: string, at: string): number => {
  const last = posted.get(user)
  if (last === undefined) return 0
  const whole = seconds * 1_000
  return Math.min(Math.max(last + whole - Date.parse(at), 0), whole)
}

/** One that goes on by itself from here. */
export const forkSlowMode = (slowMode: SlowMode | undefined): SlowMode | undefined =>
  slowMode === undefined ? undefined : { ...slowMode, posted: new Map(slowMode.posted) }

/** As JSON. */
export const serialiseSlowMode = ({ seconds, posted }: SlowMode) => ({ seconds, posted: [...posted] })

export const deserialiseSlowMode = (serial: ReturnType<typeof serialiseSlowMode>): SlowMode => ({
  seconds: serial.seconds,
  posted: new Map(serial.posted),
})
