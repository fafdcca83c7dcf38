/**
 * Returns the wait before the next attempt, ms: random between 0 and `base` doubled per failure, at most `most`. Full
 * jitter: clients that fail together do not reconnect together.
 */
export const backoff = (failed: number, base: number, most: number, random: number = Math.random()): number =>
  random * Math.min(most, base * 2 ** Math.min(failed, 30))
