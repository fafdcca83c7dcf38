import type { Signals } from '../../../edge/ports/signals.ts'
import { signalSubjectOf } from '../../../events/index.ts'
import type { Nats } from '../client/connection.ts'

/** Signals over core NATS, as JSON: lost when nobody listens or NATS is away. */
export class NatsSignals implements Signals {
  readonly #nats: Nats

  constructor(nats: Nats) {
    this.#nats = nats
  }

  publish(about: string, signal: unknown): void {
    // nats.js would keep it for the next connection; a signal is of now.
    if (this.#nats.connected()) this.#nats.connection.publish(signalSubjectOf(about), JSON.stringify(signal))
  }

  listen(listener: (signal: unknown) => void, concerns: (about: string) => boolean): void {
    this.#nats.connection.subscribe('sig.*.*', {
      callback: (_error, msg) => {
        try {
          if (concerns(msg.subject.slice(msg.subject.lastIndexOf('.') + 1))) listener(msg.json())
        } catch {
          // Not a signal of ours, or its listener's own trouble: neither may stop the connection's reader.
        }
      },
    })
  }
}
