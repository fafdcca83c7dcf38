import type { Msg } from '@nats-io/transport-node'
import {
  type AggregateRef,
  decodeEnvelope,
  type Envelope,
  Header,
  parseSubject,
  type StoredEvent,
} from '../../events/index.ts'
import { headerIn, headerText, needleOf } from './raw-message.ts'

const needles = new Map<string, string>(Object.values(Header).map(name => [name, needleOf(name)]))

export const streamNeedle = needleOf('Nats-Stream')
export const subjectNeedle = needleOf('Nats-Subject')
export const sequenceNeedle = needleOf('Nats-Sequence')

/** An envelope as `headerBlock` writes it, ahead of all other headers: one match instead of nine look-ups. */
const writtenByUs = new RegExp(
  `^NATS/1\\.0\r\n${[
    Header.type,
    Header.version,
    Header.seq,
    Header.n,
    Header.actor,
    Header.commandId,
    Header.epoch,
  ]
    .map(name => `${name}: ([!-~]+)\r\n`)
    .join('')}(?:${Header.keyId}: ([!-~]+)\r\n)?(?:${Header.traceparent}: ([!-~]+)\r\n)?`,
)

/** The envelope in a header block; undefined when none of confab's writers wrote it. */
export const envelopeIn = (text: string): Envelope | undefined => {
  const match = writtenByUs.exec(text)
  if (match !== null) {
    const [, type = '', version, seq, n, actor = '', commandId = '', epoch, keyId, traceparent] = match
    const envelope = {
      type,
      version: Number(version),
      seq: Number(seq),
      n: Number(n),
      actor,
      commandId,
      epoch: Number(epoch),
    }
    if (envelope.version >= 1 && envelope.seq >= 1 && envelope.n >= 0 && envelope.epoch >= 1)
      return keyId === undefined && traceparent === undefined
        ? envelope
        : { ...envelope, ...(keyId ? { keyId } : {}), ...(traceparent ? { traceparent } : {}) }
  }
  return decodeEnvelope(name => headerIn(text, needles.get(name) ?? ''))
}

/** What stands for the envelope of a message that isn't confab's: no event has the type '', so whoever decodes it finds it malformed. */
const foreign: Envelope = { type: '', version: 1, seq: 0, n: 0, actor: '', commandId: '', epoch: 1 }
const nowhere: AggregateRef = { family: 'conv', id: '' }

/** Whether a message in a stream is none of confab's events. */
export const isForeign = (event: StoredEvent): boolean => event.envelope.type === ''

/**
 * A stored message as an event. A message that is none of confab's (no envelope, or a subject of no aggregate) comes out with the envelope type '', so that
 * its place in the stream is not lost. `data` is a view into the connection's buffer: copy it to keep it for long.
 */
export const toStoredEvent = (
  stream: string,
  streamSeq: number,
  subject: string,
  headers: string,
  data: Uint8Array,
): StoredEvent => {
  const aggregate = parseSubject(subject)
  const envelope = aggregate === undefined ? undefined : envelopeIn(headers)
  return envelope === undefined || aggregate === undefined
    ? { stream, streamSeq, aggregate: aggregate ?? nowhere, envelope: foreign, data }
    : { stream, streamSeq, aggregate, envelope, data }
}

/** An event as a stream's republish or a direct get hands it out: its place in headers. */
export const eventFromHeaders = (msg: Msg, subject?: string): StoredEvent => {
  const text = headerText(msg)
  return toStoredEvent(
    headerIn(text, streamNeedle) ?? '',
    Number(headerIn(text, sequenceNeedle)),
    subject ?? headerIn(text, subjectNeedle) ?? '',
    text,
    msg.data,
  )
}
