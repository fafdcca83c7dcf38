/**
 * How long to wait before the next try, ms: anywhere up to `base` doubled at each failed one, at most `most`. Full jitter: what fails together does not come
 * back together.
 */
export const backoff = (failed: number, base: number, most: number, random: number = Math.random()): number =>
  random * Math.min(most, base * 2 ** Math.min(failed, 30))
