import { type Nats, rawHeaders } from '../client/connection.ts'
import { ApiError, apiSubject, isSequenceConflict } from '../client/jetstream-api.ts'
import { NatsError, NatsProblem } from '../client/nats-error.ts'
import { isRefusal, readAck } from '../client/publish-ack.ts'
import { promisesStreamName, remotePromises } from './promises-stream.ts'

/** A document in a region's `PROMISES`, and the sequence under which it is stored. */
export interface StoredDocument<T> {
  /** Undefined when there is none. */
  readonly value: T | undefined
  /** 0 when there is none. */
  readonly seq: number
}

interface MessageAnswer {
  readonly message?: { readonly seq: number; readonly data?: string }
  readonly error?: { readonly err_code?: number; readonly description?: string }
}

const defaultTimeoutMs = 3_000

/** Reads the last document on a subject of a region's `PROMISES` from its leader. Throws NatsError. */
export const readDocument = async <T>(
  { connection }: Pick<Nats, 'connection'>,
  subject: string,
  timeout = defaultTimeoutMs,
): Promise<StoredDocument<T>> => {
  const answer = await connection.request(
    apiSubject('STREAM.MSG.GET', promisesStreamName),
    JSON.stringify({ last_by_subj: subject }),
    { timeout },
  )
  const { message, error } = answer.json<MessageAnswer>()
  if (message !== undefined)
    return {
      value: JSON.parse(Buffer.from(message.data ?? '', 'base64').toString('utf8')) as T,
      seq: message.seq,
    }
  if (error?.err_code === ApiError.noMessageFound) return { value: undefined, seq: 0 }
  if (error?.err_code === ApiError.streamNotFound) return { value: undefined, seq: 0 }
  throw new NatsError(NatsProblem.failed, `${promisesStreamName} cannot be read: ${error?.description}`)
}

/**
 * Replaces a document by compare-and-set. Returns its new sequence; undefined when another one was stored since `seq`.
 * Throws NatsError.
 */
export const replaceDocument = async (
  { connection }: Pick<Nats, 'connection'>,
  subject: string,
  value: unknown,
  seq: number,
  timeout = defaultTimeoutMs,
): Promise<number | undefined> => {
  const headers = rawHeaders(`NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: ${seq}\r\n\r\n`)
  const ack = readAck(await connection.request(subject, JSON.stringify(value), { timeout, headers }))
  if (!isRefusal(ack)) return ack.seq
  if (isSequenceConflict(ack.errCode)) return undefined
  throw new NatsError(
    NatsProblem.failed,
    `${promisesStreamName} cannot be written: ${ack.description}: run "confab streams apply"`,
  )
}

/**
 * Reads the last document on a subject of the `PROMISES` of any region, from any replica: it may be out of date. Throws
 * NatsError.
 */
export const readRemoteDocument = async <T>(
  { connection }: Pick<Nats, 'connection'>,
  domain: string,
  subject: string,
  timeout: number,
): Promise<StoredDocument<T>> => {
  const answer = await connection.request(remotePromises(domain, subject), '', { timeout })
  const seq = Number(answer.headers?.get('Nats-Sequence') ?? 0)
  if (seq > 0) return { value: answer.json<T>(), seq }
  if (answer.headers?.code === 404) return { value: undefined, seq: 0 }
  throw new NatsError(NatsProblem.failed, `${promisesStreamName} in ${domain} cannot be read`)
}
