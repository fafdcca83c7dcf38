import { readSystemState, type StateSources, type SystemState } from './system-state.ts'

/** Time between two samples, ms. */
const sampleEveryMs = 15_000
/** Samples of one hour. */
const maxSamples = 240
/** Age up to which a state answers further requests, ms: many open pages cost as much as one. */
const freshMs = 1_000

/** Figures of the whole system at one time. A figure that could not be read is absent. */
export interface Sample {
  /** ms since 1970. */
  readonly at: number
  /** Messages a second, of all streams. */
  readonly messages?: number
  /** Connected sessions, of all edge nodes. */
  readonly sockets?: number
  /** Events that projections have not applied yet. */
  readonly lag?: number
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0)

const sampleOf = ({ at, streams, edges, projections }: SystemState): Sample => ({
  at: Date.parse(at),
  ...(streams === undefined ? {} : { messages: sum(streams.map(({ rate = 0 }) => rate)) }),
  ...(edges === undefined ? {} : { sockets: sum(edges.map(({ sockets }) => sockets)) }),
  ...(projections === undefined ? {} : { lag: sum(projections.map(({ lagEvents }) => lagEvents)) }),
})

/**
 * The current state of the system, and samples of the last hour in the memory of this process: at most 240. They start
 * with the process. Other processes have samples of their own.
 */
export class StateHistory {
  readonly #read: () => Promise<SystemState>
  readonly #samples: Sample[] = []
  readonly #timer: NodeJS.Timeout
  #reading: Promise<SystemState> | undefined
  #readAt = Number.NEGATIVE_INFINITY

  constructor(sources: StateSources, everyMs = sampleEveryMs) {
    this.#read = () => readSystemState(sources)
    this.#timer = setInterval(() => void this.#sample(), everyMs)
    this.#timer.unref()
  }

  /** Returns the state, at most a second old, and the samples, oldest first, with the state as the last one. */
  async now(): Promise<{ readonly state: SystemState; readonly samples: readonly Sample[] }> {
    const state = await this.#current()
    return {
      state,
      samples: [...this.#samples.filter(({ at }) => at < Date.parse(state.at)), sampleOf(state)],
    }
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  async #sample(): Promise<void> {
    this.#samples.push(sampleOf(await this.#current()))
    if (this.#samples.length > maxSamples) this.#samples.shift()
  }

  #current(): Promise<SystemState> {
    if (this.#reading !== undefined && performance.now() - this.#readAt < freshMs) return this.#reading
    this.#readAt = performance.now()
    this.#reading = this.#read()
    return this.#reading
  }
}
