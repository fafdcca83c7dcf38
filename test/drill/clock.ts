/** Returns the time, ms since 1970, by the monotonic clock. */
export const now = (): number => performance.timeOrigin + performance.now()

/** Returns the value below which a share of the values lies; NaN of none. */
export const quantile = (values: readonly number[], share: number): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}
