import type { Msg } from '@nats-io/transport-node'
import { ConfabError } from '../../../events/index.ts'
import { isSequenceConflict } from './jetstream-api.ts'
import { headerText, statusIn } from './raw-message.ts'

/** JetStream's ack of a publish. */
export interface PublishAck {
  readonly stream: string
  readonly seq: number
  readonly duplicate: boolean
}

/** JetStream's refusal of a publish. */
export interface PublishRefusal {
  /** Status, as in HTTP: 400, 429, 503. */
  readonly code: number
  /** JetStream's error code. */
  readonly errCode: number
  readonly description: string
}

interface AckBody {
  readonly stream?: string
  readonly seq?: number
  readonly duplicate?: boolean
  readonly error?: { readonly code?: number; readonly err_code?: number; readonly description?: string }
}

const noResponders: PublishRefusal = { code: 503, errCode: 0, description: 'no stream takes this subject' }

/** The form of nearly every ack. */
const plainAck = /^\{"stream":"([^"\\]+)","seq":(\d+)\}$/

/** Reads an ack, which is short ASCII JSON: `{"stream":"CONV_0","seq":7}`. */
export const readAck = (msg: Msg): PublishAck | PublishRefusal => {
  const { data } = msg
  if (data.length === 0 && statusIn(headerText(msg)) === 503) return noResponders
  const text = Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('latin1')
  const plain = plainAck.exec(text)
  if (plain !== null) return { stream: plain[1] as string, seq: Number(plain[2]), duplicate: false }
  let body: AckBody | null
  try {
    body = JSON.parse(text) as AckBody | null
  } catch {
    return { code: 500, errCode: 0, description: 'the answer is not JSON' }
  }
  if (body?.stream === undefined || body.seq === undefined || body.error !== undefined)
    return {
      code: body?.error?.code ?? 500,
      errCode: body?.error?.err_code ?? 0,
      description: body?.error?.description ?? 'the answer is not an ack',
    }
  return { stream: body.stream, seq: body.seq, duplicate: body.duplicate === true }
}

export const isRefusal = (ack: PublishAck | PublishRefusal): ack is PublishRefusal => 'errCode' in ack

/** Whether the log has another event after the expected sequence. */
export const isConflict = ({ errCode }: PublishRefusal): boolean => isSequenceConflict(errCode)

/** Whether an id of a batch is in the duplicate window. The server refuses the whole batch. */
export const isDuplicateInBatch = ({ errCode }: PublishRefusal): boolean => errCode === 10201

/** Memory, or the storage that JetStream may use, is exhausted. */
const storageFull = new Set([10023, 10047])
/** Another append to the subject is in progress; too many requests or batches; a batch that lost a message. */
const overload = new Set([10163, 10167, 10176, 10210, 10211])
/** message size exceeds maximum allowed. */
const tooLarge = 10054

/** Returns the error of a refusal that is not a conflict. The server appended nothing. */
export const refusalError = ({ code, errCode, description }: PublishRefusal): ConfabError => {
  const detail = `the log refused: ${description}${errCode === 0 ? '' : ` (${errCode})`}`
  if (errCode === tooLarge) return new ConfabError('TOO_LARGE', undefined, { detail })
  if (storageFull.has(errCode))
    return new ConfabError('OVERLOADED', 'The storage of the log is full. Try again later.', { detail })
  if (code === 429 || overload.has(errCode)) return new ConfabError('OVERLOADED', undefined, { detail })
  return new ConfabError('UNAVAILABLE', 'The log cannot be written. Try again.', { detail })
}
