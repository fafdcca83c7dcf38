import type { NewEvent } from '../../src/commands/index.ts'
import { type Envelope, encodeBody, encodeEnvelope, type MessagePosted } from '../../src/events/index.ts'

const text =
  'A message as long as they are in a busy channel; some are shorter, few are longer: about 100 bytes.'

/** A message as a decider would make it: 1 is the first of its conversation. */
export const messageEvent = (
  c: string,
  seq: number,
  from: string,
  at: string,
): NewEvent & { envelope: Envelope } => {
  const m = `01940000-0000-7000-8000-${String(seq).padStart(12, '0')}`
  const body: MessagePosted = { t: 'event', c, seq, type: 'message.posted', from, at, m, n: seq, text }
  return {
    envelope: {
      type: 'message.posted',
      version: 1,
      seq,
      n: seq,
      actor: from,
      commandId: `m.${c}.${from}.${m}`,
      epoch: 1,
    },
    data: encodeBody(body),
  }
}

/** The headers of an event but for the message id and the expectation, as text. */
export const headerLines = (envelope: Envelope): string =>
  encodeEnvelope(envelope)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')
