import type { Msg } from '@nats-io/transport-node'
import { ConfabError } from '../../../events/index.ts'
import { headerText, statusIn } from './raw-message.ts'

/** What JetStream answered to a publish. */
export interface PublishAck {
  readonly stream: string
  readonly seq: number
  readonly duplicate: boolean
}

/** What it answered instead. */
export interface PublishRefusal {
  /** Of HTTP's kind: 400, 429, 503. */
  readonly code: number
  /** JetStream's own. */
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

/** What nearly every ack is. */
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
    return { code: 500, errCode: 0, description: 'an answer that is no JSON' }
  }
  if (body?.stream === undefined || body.seq === undefined || body.error !== undefined)
    return {
      code: body?.error?.code ?? 500,
      errCode: body?.error?.err_code ?? 0,
      description: body?.error?.description ?? 'an answer that is no ack',
    }
  return { stream: body.stream, seq: body.seq, duplicate: body.duplicate === true }
}

export const isRefusal = (ack: PublishAck | PublishRefusal): ack is PublishRefusal => 'errCode' in ack

/** wrong last sequence: N; and, while the winner is still in flight, without the N. */
const wrongLastSequence = new Set([10071, 10164])

/** Whether something else stands where this was to go. */
export const isConflict = ({ errCode }: PublishRefusal): boolean => wrongLastSequence.has(errCode)

/** An id in a batch is in the duplicate window already; all of the batch was refused. */
export const isDuplicateInBatch = ({ errCode }: PublishRefusal): boolean => errCode === 10201

/** Memory, or the space that JetStream gives itself, is used up. */
const noRoom = new Set([10023, 10047])
/** The subject is being appended to, elsewhere; too many requests, or batches; a batch of which something got lost. */
const pushBack = new Set([10163, 10167, 10176, 10210, 10211])
/** message size exceeds maximum allowed. */
const tooLarge = 10054

/** A refusal that is no conflict, as the error that a caller gets. Nothing was appended. */
export const refusalError = ({ code, errCode, description }: PublishRefusal): ConfabError => {
  const told = `the log refused: ${description}${errCode === 0 ? '' : ` (${errCode})`}`
  if (errCode === tooLarge) return new ConfabError('TOO_LARGE', told)
  if (noRoom.has(errCode)) return new ConfabError('OVERLOADED', `the log has no room left (${errCode})`)
  if (code === 429 || pushBack.has(errCode)) return new ConfabError('OVERLOADED', told)
  return new ConfabError('UNAVAILABLE', told)
}
