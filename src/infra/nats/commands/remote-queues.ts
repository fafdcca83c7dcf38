import { partitionOf } from '../../../events/index.ts'
import type { Call, Lane } from './remote-call.ts'

/** The lanes that have unanswered commands, and among them those that have some to send. */
export class RemoteLanes {
  readonly #lanes = new Map<string, Lane>()
  readonly #holding = new Set<Lane>()

  of(family: string, id: string): Lane {
    const key = `${family}.${id}`
    let lane = this.#lanes.get(key)
    if (lane === undefined) {
      lane = { key, bucket: partitionOf(id), member: undefined, sent: 0, held: [] }
      this.#lanes.set(key, lane)
    }
    return lane
  }

  /** Lanes in which something waits to be sent. */
  get holding(): Iterable<Lane> {
    return this.#holding
  }

  hold(lane: Lane, call: Call): void {
    lane.held.push(call)
    this.#holding.add(lane)
  }

  /** What waits in a lane, in the order that it was asked for; from now on it does not. */
  takeHeld(lane: Lane): readonly Call[] {
    const held = lane.held.filter(call => !call.done).sort((one, other) => one.order - other.order)
    lane.held = []
    return held
  }

  /** Forgets what has nothing to do. */
  tidy(lane: Lane): void {
    if (lane.held.length > 0) return
    this.#holding.delete(lane)
    if (lane.sent === 0) this.#lanes.delete(lane.key)
  }

  /** Lets go of calls that have ended while they waited. */
  dropEnded(): void {
    for (const lane of this.#holding) {
      lane.held = lane.held.filter(call => !call.done)
      this.tidy(lane)
    }
  }
}
