import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream'
import { type NatsConnection, TimeoutError } from '@nats-io/transport-node'
import { NatsError, NatsProblem } from './nats-error.ts'

/** Of one attempt, ms, where nothing shorter is wanted. */
export const askWaitMs = 5_000
const attempts = 6

/**
 * Asks something that may be asked again: what JetStream is asked while it or a stream has no leader, it drops without a word. `what` is the subject of the
 * error's sentence. Throws NatsError.
 */
export const askAgain = async <T>(what: string, ask: () => Promise<T>): Promise<T> => {
  for (let attempt = 1; ; attempt++) {
    try {
      return await ask()
    } catch (error) {
      if (NatsError.is(error)) throw error
      if (error instanceof TimeoutError && attempt < attempts) continue
      throw new NatsError(NatsProblem.failed, `${what} cannot be used: ${(error as Error).message}`, error)
    }
  }
}

/** Asks JetStream's API something that may be asked again. Throws NatsError. */
export const askJetStream = <T>(
  connection: NatsConnection,
  ask: (manager: JetStreamManager) => Promise<T>,
): Promise<T> =>
  askAgain('JetStream', async () =>
    ask(await jetstreamManager(connection, { checkAPI: false, timeout: askWaitMs })),
  )
