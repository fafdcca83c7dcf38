import fc from 'fast-check'
import { Finding } from './answer-check.ts'
import type { Lane } from './lane.ts'

/** A finding of a lane: the smallest case that shows it, and how to run this case again. */
export interface FoundCase {
  readonly lane: string
  readonly message: string
  /** Arguments of `npm run fuzz` that run the case again. */
  readonly replay: string
  readonly minimal: string
}

export interface LaneResult {
  readonly name: string
  readonly cases: number
  readonly found: readonly FoundCase[]
}

/** Cases of one round. Each round has a seed of its own, which its report names. */
const casesOfRound = 500
/** Different findings of one lane after which it stops. */
const mostFindings = 5

/** Returns the seed of a round, a signed 32-bit integer as fast-check expects. */
const seedOf = (seed: number, name: string, round: number): number => {
  let hash = seed | 0
  for (const char of `${name} ${round}`) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193)
  return hash
}

/** The finding without the parts that differ between its cases. */
const kindOf = (message: string): string => message.replaceAll(/[\d"]+/g, '').slice(0, 80)

const messageOf = (error: unknown): string =>
  error instanceof Finding
    ? error.message
    : error instanceof Error
      ? (error.stack ?? error.message)
      : String(error)

/** Runs the cases of a lane until a time, by `performance.now()`. Calls `onFound` with each finding at once. */
export const runLane = async (
  lane: Lane,
  seed: number,
  endAt: number,
  onFound: (found: FoundCase) => void,
): Promise<LaneResult> => {
  const found = new Map<string, FoundCase>()
  let cases = 0
  for (let round = 0; performance.now() < endAt && found.size < mostFindings; round++) {
    const roundSeed = seedOf(seed, lane.name, round)
    const property = fc.asyncProperty(lane.cases, async given => {
      cases++
      await lane.run(given)
    })
    const result = await fc.check(property, {
      seed: roundSeed,
      numRuns: casesOfRound,
      interruptAfterTimeLimit: Math.max(1, endAt - performance.now()),
      markInterruptAsFailure: false,
    })
    // The end of the time interrupts the last round.
    if (!result.failed || result.counterexample === null) continue
    const message = messageOf(result.errorInstance)
    const kind = kindOf(message)
    if (found.has(kind)) continue
    const foundCase: FoundCase = {
      lane: lane.name,
      message,
      replay: `--replay ${lane.name}:${roundSeed}:${result.counterexamplePath}`,
      minimal: fc.stringify(result.counterexample[0]),
    }
    found.set(kind, foundCase)
    onFound(foundCase)
  }
  return { name: lane.name, cases, found: [...found.values()] }
}

/** Runs one case again. Throws what it throws. */
export const replayCase = async (lane: Lane, seed: number, path: string): Promise<void> => {
  await fc.assert(
    fc.asyncProperty(lane.cases, given => lane.run(given)),
    { seed, path, endOnFailure: true, numRuns: casesOfRound },
  )
}
