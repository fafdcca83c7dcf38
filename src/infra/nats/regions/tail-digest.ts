import { createHash } from 'node:crypto'
import { sleep } from '../../../base/sleep.ts'
import { type ReadBatch, readBatch, type SequenceRange } from '../backup/stream-digest.ts'
import { type Nats, ReplyInbox } from '../client/connection.ts'

/** Messages of one direct get. */
const batchSize = 256
const timeoutMs = 5_000
/** Attempts and pause, ms, of a direct get that a replica answers which is behind the leader. */
const attempts = 12
const pauseMs = 250

/** Headers of an append's expectations and of atomic batches, which mirrors do not keep. */
const stripped = /^Nats-(Expected|Batch)-/i

/** Returns a block of headers without its first line, and without the headers that mirrors do not keep. */
export const comparableHeaders = (block: string): string =>
  block
    .split('\r\n')
    .slice(1)
    .filter(line => line !== '' && !stripped.test(line))
    .join('\r\n')

/**
 * Returns the SHA-256 of the messages of a range of a stream, as a home and a mirror both have them: of sequence,
 * subject, headers and data. Any replica answers. Rejects with NatsError.
 */
export const tailDigest = async (
  nats: Nats,
  stream: string,
  { first, last }: SequenceRange,
): Promise<string> => {
  const hash = createHash('sha256')
  const inbox = new ReplyInbox(nats, timeoutMs)
  try {
    for (let start = first; start <= last; start += batchSize) {
      const range = { first: start, last: Math.min(last, start + batchSize - 1) }
      let found: ReadBatch = await readBatch(nats, inbox, stream, range)
      // A replica may be behind the leader, or the last message of the range may be deleted.
      for (let left = attempts; left > 0 && found.at(-1)?.seq !== range.last; left--) {
        await sleep(pauseMs)
        found = await readBatch(nats, inbox, stream, range)
      }
      for (const { seq, subject, headers, data } of found) {
        const block = comparableHeaders(headers)
        hash.update(`${seq} ${subject} ${block.length} ${data.length}\n${block}`, 'latin1')
        hash.update(data)
      }
    }
  } finally {
    inbox.close()
  }
  return hash.digest('hex')
}
