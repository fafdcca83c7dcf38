import { jetstream } from '@nats-io/jetstream'
import type { StoredEvent } from '../../events/index.ts'
import type { DeadLetter, DeadLetters } from '../../projections/index.ts'
import type { Nats } from './connection.ts'

/**
 * Files dead letters in the stream DEAD_LETTERS, subject `dead.<projection>`. A letter says where the event stands and why it was not taken; the event itself
 * stays where it is, in the log.
 */
export class NatsDeadLetters implements DeadLetters {
  readonly #nats: Nats

  constructor(nats: Nats) {
    this.#nats = nats
  }

  async publish(letter: DeadLetter, { aggregate, envelope }: StoredEvent): Promise<void> {
    const { projection, stream, streamSeq } = letter
    const body = { ...letter, aggregate, seq: envelope.seq, type: envelope.type, version: envelope.version }
    await jetstream(this.#nats.connection).publish(`dead.${projection}`, JSON.stringify(body), {
      msgID: `dead.${projection}.${stream}.${streamSeq}`,
    })
  }
}
