import { type Epochs, type LiveFeed, watchCuts } from '../../commands/index.ts'
import { CloseCode } from '../../events/index.ts'
import { flush, pushObject } from '../sessions/outbox.ts'
import type { SessionRegistry } from '../sessions/session-registry.ts'

export interface EpochWatchParts {
  readonly epochs: Epochs
  readonly feed: LiveFeed
  readonly sessions: SessionRegistry
  /** Ends the event streams. Their clients reconnect within `ms`. */
  readonly drainStreams: (ms: number) => void
}

/**
 * Announces a new epoch to the clients of this node. If this node has sent events that are lost, the clients
 * reconnect instead, with their cursors and the epoch of these: only the catch-up knows whose copies are wrong.
 */
export class EpochWatch {
  readonly #parts: EpochWatchParts
  readonly #reconnectMs: number
  readonly #unwatch: () => void
  #epoch: number

  /** `reconnectMs`: time within which clients with lost events reconnect. Create it before the feed starts. */
  constructor(parts: EpochWatchParts, current: () => number, reconnectMs: number) {
    this.#parts = parts
    this.#reconnectMs = reconnectMs
    this.#epoch = current()
    const { epochs, feed } = parts
    let hasLost = false
    const unwatchCuts = watchCuts(epochs, (stream, streamSeq, before) => {
      if ((feed.position(stream, before) ?? 0) > streamSeq) hasLost = true
    })
    const unwatch = epochs.watch(() => {
      const epoch = current()
      if (hasLost) this.#moveSessions()
      else if (epoch > this.#epoch)
        for (const session of parts.sessions) pushObject(session, { t: 'epoch', epoch })
      hasLost = false
      this.#epoch = Math.max(this.#epoch, epoch)
    })
    this.#unwatch = () => {
      unwatchCuts()
      unwatch()
    }
  }

  close(): void {
    this.#unwatch()
  }

  #moveSessions(): void {
    this.#parts.drainStreams(this.#reconnectMs)
    const sessions = [...this.#parts.sessions]
    for (const session of sessions)
      if (!session.closed) pushObject(session, { t: 'drain', reconnectMs: this.#reconnectMs })
    setTimeout(() => {
      for (const session of sessions) {
        if (session.closed) continue
        flush(session)
        session.end(CloseCode.goingAway, 'home changed')
      }
    }, this.#reconnectMs).unref()
  }
}
