import { type AggregateRef, isForeign, LogDamagedError, type StoredEvent } from '../events/index.ts'
import { count } from './terminal/output.ts'

/** Holes that an error names. */
const maxNamed = 5

const nameOf = ({ family, id }: AggregateRef): string => `${family} ${id}`

/**
 * Finds missing events in a read of the log: the seq of each conversation and of each user counts up from 1. Keeps one
 * number for each of them, about 0.1 kB.
 */
export class HoleFinder {
  readonly #last = new Map<string, number>()
  readonly #named: string[] = []
  #holes = 0

  /** Takes the next event of an aggregate. `first`: the seq of the first one; undefined when it is not known. */
  take(stored: StoredEvent, first?: number): void {
    if (isForeign(stored)) return
    const { aggregate } = stored
    const { seq } = stored.envelope
    const name = nameOf(aggregate)
    const last = this.#last.get(name)
    const expected = last === undefined ? (first ?? seq) : last + 1
    if (seq > expected) this.#add(new LogDamagedError(aggregate, expected, seq - 1).message)
    this.#last.set(name, seq)
  }

  /** Notes that a stream has lost messages. Their conversations may have no event left that shows it. */
  lacks(stream: string, messages: number): void {
    this.#add(`stream ${stream} lacks ${count(messages)} of the messages that it has stored`)
  }

  /** Returns a text that names the first holes; undefined when there is none. */
  found(): string | undefined {
    if (this.#holes === 0) return undefined
    const more = this.#holes - this.#named.length
    return [...this.#named, ...(more > 0 ? [`and ${count(more)} more holes`] : [])].join('; ')
  }

  #add(hole: string): void {
    this.#holes++
    if (this.#named.length < maxNamed) this.#named.push(hole)
  }
}
