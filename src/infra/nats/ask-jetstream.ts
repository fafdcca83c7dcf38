import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream'
import { type NatsConnection, TimeoutError } from '@nats-io/transport-node'
import { NatsError, NatsProblem } from './nats-error.ts'

const waitMs = 5_000
const attempts = 3

/** Asks JetStream's API something that may be asked again: what it is asked while it has no leader, it drops without a word. Throws NatsError. */
export const askJetStream = async <T>(
  connection: NatsConnection,
  ask: (manager: JetStreamManager) => Promise<T>,
): Promise<T> => {
  for (let attempt = 1; ; attempt++) {
    try {
      return await ask(await jetstreamManager(connection, { checkAPI: false, timeout: waitMs }))
    } catch (error) {
      if (NatsError.is(error)) throw error
      if (error instanceof TimeoutError && attempt < attempts) continue
      throw new NatsError(NatsProblem.failed, `JetStream cannot be used: ${(error as Error).message}`, error)
    }
  }
}
