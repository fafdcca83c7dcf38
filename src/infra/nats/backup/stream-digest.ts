import { createHash, type Hash } from 'node:crypto'
import type { Msg } from '@nats-io/transport-node'
import { sleep } from '../../../base/sleep.ts'
import { type Nats, ReplyInbox } from '../client/connection.ts'
import { apiSubject } from '../client/jetstream-api.ts'
import { NatsError, NatsProblem } from '../client/nats-error.ts'
import { headerIn, headerText, statusIn } from '../client/raw-message.ts'
import { OrderedConsumer, type ReadMessage } from '../log/ordered-consumer.ts'
import { sequenceNeedle, subjectNeedle } from '../log/stored-message.ts'

/** A stream with more sequences is read in samples, unless the caller wants all messages. */
const wholeUpTo = 16_384
const samples = 32
const messagesOfSample = 256
const batch = 4_096
/** Attempts and pause, ms, of a direct get that a replica answers which is behind the leader. */
const attempts = 12
const pauseMs = 250
/** Time without a message after which reading has failed, ms. */
const silenceMs = 60_000
/** Time that a replica which is behind may take to receive the next message, ms. */
const lagMs = 3_000

/** Whether a digest covers all messages, or evenly spaced samples of a long stream. */
export type DigestExtent = 'all' | 'samples'

interface Message {
  readonly seq: number
  readonly subject: string
  readonly headers: string
  readonly data: Uint8Array
}

/** Messages of a stream, in order. */
export type ReadBatch = readonly Message[]

const toMessage: ReadMessage<Message> = (_, seq, subject, headers, data) => ({ seq, subject, headers, data })

/** The first header that a direct get appends to those of the stored message. */
const appended = '\r\nNats-Stream:'
const emptyBlock = 'NATS/1.0'

const add = (hash: Hash, { seq, subject, headers, data }: Message): void => {
  const block = headers.trimEnd() === emptyBlock ? '' : headers.trimEnd()
  hash.update(`${seq} ${subject} ${block.length} ${data.length}\n${block}`, 'latin1')
  hash.update(data)
}

const cannotRead = (stream: string, why: string): NatsError =>
  new NatsError(NatsProblem.failed, `stream ${stream} cannot be read: ${why}`)

/** Adds the messages from `first` to `last` to a hash. Waits a while for a replica that is behind. */
const addAll = async (
  nats: Nats,
  stream: string,
  { first, last }: SequenceRange,
  hash: Hash,
  signal: AbortSignal,
): Promise<void> => {
  const consumer = new OrderedConsumer(nats, stream, first - 1, 2 * batch, toMessage)
  const stop = (): void => consumer.stop()
  signal.addEventListener('abort', stop)
  let timer: NodeJS.Timeout | undefined
  try {
    for (let position = first - 1, isAtEnd = false; position < last; ) {
      let isSilent = false
      timer = setTimeout(
        () => {
          isSilent = true
          consumer.stop()
        },
        isAtEnd ? lagMs : silenceMs,
      )
      const messages = await consumer.next(batch)
      clearTimeout(timer)
      // At the end, a replica may be behind the leader, or the last messages of the range may be deleted.
      if (signal.aborted || (isSilent && isAtEnd)) return
      if (isSilent) throw cannotRead(stream, `no message for ${silenceMs / 1000} s`)
      for (const message of messages) if (message.seq <= last) add(hash, message)
      isAtEnd = messages.length === 0
      position = messages.at(-1)?.seq ?? position
    }
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', stop)
    consumer.stop()
  }
}

/** Reads the messages from `first` to `last` by one direct get. Rejects with NatsError. */
export const readBatch = (
  { connection }: Nats,
  inbox: ReplyInbox,
  stream: string,
  { first, last }: SequenceRange,
): Promise<ReadBatch> => {
  const { promise, resolve, reject } = Promise.withResolvers<ReadBatch>()
  const fail = (why: string): void => reject(cannotRead(stream, why))
  const messages: Message[] = []
  const answer = (msg: Msg): boolean => {
    const text = headerText(msg)
    const status = msg.data.length === 0 ? statusIn(text) : 0
    if (status === 0) {
      messages.push({
        seq: Number(headerIn(text, sequenceNeedle)),
        subject: headerIn(text, subjectNeedle) ?? '',
        headers: text.slice(0, text.lastIndexOf(appended)),
        data: msg.data,
      })
      return false
    }
    // 204: end of the batch. 404: no message found.
    if (status === 204 || status === 404) resolve(messages.filter(({ seq }) => seq <= last))
    else fail(`status ${status}`)
    return true
  }
  const subject = apiSubject('DIRECT.GET', stream)
  connection.publish(subject, JSON.stringify({ seq: first, batch: last - first + 1 }), {
    reply: inbox.expect({ subject, answer, fail }),
  })
  return promise
}

export interface SequenceRange {
  readonly first: number
  readonly last: number
}

/** Returns the evenly spaced parts of a range that samples cover. */
const samplesOf = ({ first, last }: SequenceRange): SequenceRange[] => {
  const step = (last - first + 1 - messagesOfSample) / (samples - 1)
  return Array.from({ length: samples }, (_, index) => {
    const start = first + Math.floor(index * step)
    return { first: start, last: start + messagesOfSample - 1 }
  })
}

const addSamples = async (
  nats: Nats,
  stream: string,
  range: SequenceRange,
  hash: Hash,
  signal: AbortSignal,
): Promise<void> => {
  const inbox = new ReplyInbox(nats, 10_000)
  try {
    for (const sample of samplesOf(range)) {
      let found = await readBatch(nats, inbox, stream, sample)
      // A replica may be behind the leader, or the last message of the range may be deleted.
      for (let left = attempts; left > 0 && !signal.aborted; left--) {
        if (sample.last < range.last || found.at(-1)?.seq === range.last) break
        await sleep(pauseMs, signal)
        found = await readBatch(nats, inbox, stream, sample)
      }
      for (const message of found) add(hash, message)
    }
  } finally {
    inbox.close()
  }
}

/**
 * Returns the SHA-256 of the messages of a range of a stream, as hexadecimal text: of sequence, subject, headers and
 * data of each message. Rejects with NatsError.
 */
export const digestStream = async (
  nats: Nats,
  stream: string,
  range: SequenceRange,
  extent: DigestExtent,
  signal: AbortSignal,
): Promise<string> => {
  const hash = createHash('sha256')
  // An empty stream has first and last 0, or a last below its first.
  if (range.last < Math.max(range.first, 1)) return hash.digest('hex')
  if (extent === 'all' || range.last - range.first < wholeUpTo)
    await addAll(nats, stream, range, hash, signal)
  else await addSamples(nats, stream, range, hash, signal)
  return hash.digest('hex')
}
