import { setTimeout as sleep } from 'node:timers/promises'
import { JetStreamApiError, type JetStreamManager, jetstreamManager } from '@nats-io/jetstream'
import { type NatsConnection, TimeoutError } from '@nats-io/transport-node'
import { subjectToken } from '../../../events/index.ts'
import { NatsError, NatsProblem, rightsError, violationIn } from './nats-error.ts'

/** Timeout of one attempt, ms, where the caller needs no shorter one. */
export const requestTimeoutMs = 5_000
const attempts = 6
/** Pause before a stream is looked for again that a server does not know, ms. */
const notFoundWaitMs = 250

/** JetStream's codes of errors that confab handles. */
export const ApiError = {
  noMessageFound: 10_037,
  /** A delete failed; the description says why. */
  deleteFailed: 10_057,
  streamNameInUse: 10_058,
  streamNotFound: 10_059,
  consumerNotFound: 10_014,
  /** `wrong last sequence: N`. */
  wrongLastSequence: 10_071,
  /** The same, while the write that wins is still in flight. */
  wrongLastSequenceUnknown: 10_164,
} as const

/** The code of an error that JetStream's API answered with; undefined for any other error. */
export const apiCodeOf = (error: unknown): number | undefined =>
  error instanceof JetStreamApiError ? error.code : undefined

/** Whether a write was refused because the expected sequence is not the last one. */
export const isSequenceConflict = (code: number | undefined): boolean =>
  code === ApiError.wrongLastSequence || code === ApiError.wrongLastSequenceUnknown

/**
 * Runs an idempotent request, and retries it after a timeout: JetStream drops requests silently while it or a stream
 * has no leader. `what` is the subject of the error message. Throws NatsError.
 */
export const retryRequest = async <T>(what: string, request: () => Promise<T>): Promise<T> => {
  for (let attempt = 1; ; attempt++) {
    try {
      return await request()
    } catch (error) {
      if (NatsError.is(error)) throw error
      if (error instanceof TimeoutError && attempt < attempts) continue
      // Another server of the cluster may have created the stream a moment ago.
      if (apiCodeOf(error) === ApiError.streamNotFound && attempt < attempts) {
        await sleep(notFoundWaitMs)
        continue
      }
      const refused = violationIn(error)
      if (refused !== undefined) throw rightsError(refused, error)
      throw new NatsError(NatsProblem.failed, `${what} cannot be used: ${(error as Error).message}`, error)
    }
  }
}

/** Runs an idempotent request of JetStream's API, and retries it after a timeout. Throws NatsError. */
export const askJetStream = <T>(
  connection: NatsConnection,
  request: (manager: JetStreamManager) => Promise<T>,
): Promise<T> =>
  retryRequest('JetStream', async () =>
    request(await jetstreamManager(connection, { checkAPI: false, timeout: requestTimeoutMs })),
  )

/**
 * Returns the names of the streams that take a subject. Mirrors take none. The server answers from its metadata, so
 * that streams without a leader are found too.
 */
export const streamsTaking = async (manager: JetStreamManager, subject: string): Promise<string[]> => {
  const names: string[] = []
  for await (const name of manager.streams.names(subject)) names.push(name)
  return names
}

/** Returns the names of all streams. Throws NatsError. */
export const streamNames = (connection: NatsConnection): Promise<string[]> =>
  askJetStream(connection, async manager => {
    const names: string[] = []
    for await (const name of manager.streams.names()) names.push(name)
    return names.sort()
  })

/** Returns the name of the one stream that takes a subject. Throws NatsError when there is none or several. */
export const streamTaking = async (manager: JetStreamManager, subject: string): Promise<string> => {
  const names = await streamsTaking(manager, subject)
  if (names.length === 1) return names[0] as string
  const found = names.length === 0 ? 'no stream takes' : `several streams take (${names.join(', ')})`
  throw new NatsError(
    NatsProblem.streams,
    `${found} ${subject}: apply the definitions first (confab streams apply)`,
  )
}

/**
 * Returns a subject of JetStream's API on a stream. `rest`: the subject of the message, or the name of the consumer,
 * where the operation takes one. Throws InvalidNameError for a stream's name that is no token.
 */
export const apiSubject = (operation: string, stream: string, rest?: string): string =>
  `$JS.API.${operation}.${subjectToken(stream)}${rest === undefined ? '' : `.${rest}`}`
