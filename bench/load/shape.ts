import { seededRandom } from '../harness/texts.ts'
import { ircShape } from './irc-shape.ts'

/** Returns the sizes of `count` conversations, largest first: Zipf's law, from `largest` down to 2. */
export const zipfSizes = (
  count: number,
  largest: number,
  exponent: number = ircShape.sizeExponent,
): number[] =>
  Array.from({ length: count }, (_, rank) => Math.max(2, Math.round(largest * (rank + 1) ** -exponent)))

/** Draws indices of `weights` in proportion. `random` returns 0 to 1. */
export const weighted = (weights: readonly number[], random: () => number): (() => number) => {
  const sums: number[] = []
  let total = 0
  for (const weight of weights) {
    total += weight
    sums.push(total)
  }
  return () => {
    const wanted = random() * total
    let [low, high] = [0, sums.length - 1]
    while (low < high) {
      const middle = (low + high) >> 1
      if (sums[middle]! > wanted) high = middle
      else low = middle + 1
    }
    return low
  }
}

const quantile = (share: number): number => {
  const { gaps } = ircShape
  const next = gaps.findIndex(([at]) => at >= share)
  const [highShare, high] = gaps[next]!
  if (next === 0) return high
  const [lowShare, low] = gaps[next - 1]!
  return low + ((high - low) * (share - lowShare)) / (highShare - lowShare)
}

/** The mean of the interpolated quantiles: slightly off the logs' own mean of 1. */
const meanGap = ircShape.gaps.reduce((sum, [share, gap], index) => {
  const before = ircShape.gaps[index - 1]
  return before === undefined ? sum : sum + ((share - before[0]) * (gap + before[1])) / 2
}, 0)

/** Returns gaps between arrivals as in the logs, with mean 1. */
export const gaps =
  (random: () => number): (() => number) =>
  () =>
    quantile(random()) / meanGap

export interface Talk {
  /** Relative frequency of its messages. */
  readonly weight: number
  /** Number of possible speakers, the busiest first. */
  readonly speakers: number
}

export interface Arrival {
  /** Time since the beginning, ms. */
  readonly at: number
  /** Indices. */
  readonly talk: number
  readonly speaker: number
}

/**
 * Returns `rate * seconds` messages in `talks`, with gaps and speakers as in the logs. Deterministic per seed, and
 * stretched to the exact duration.
 */
export const arrivals = (
  talks: readonly Talk[],
  plan: { readonly rate: number; readonly seconds: number; readonly seed: number },
): Arrival[] => {
  const random = seededRandom(plan.seed)
  const nextGap = gaps(random)
  const nextTalk = weighted(
    talks.map(({ weight }) => weight),
    random,
  )
  const nextSpeaker = talks.map(({ speakers }) =>
    weighted(
      Array.from({ length: speakers }, (_, rank) => (rank + 1) ** -ircShape.activityExponent),
      random,
    ),
  )
  let clock = 0
  const drawn = Array.from({ length: Math.round(plan.rate * plan.seconds) }, () => {
    const at = clock
    clock += nextGap()
    const talk = nextTalk()
    return { at, talk, speaker: nextSpeaker[talk]!() }
  })
  const stretch = clock === 0 ? 0 : (plan.seconds * 1000) / clock
  return drawn.map(arrival => ({ ...arrival, at: arrival.at * stretch }))
}
