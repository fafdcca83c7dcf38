import type { StreamConfig, StreamInfo, StreamState } from '@nats-io/jetstream'
import { createInbox } from '@nats-io/transport-node'
import type { Nats } from '../client/connection.ts'
import { apiSubject } from '../client/jetstream-api.ts'
import { NatsError, NatsProblem } from '../client/nats-error.ts'
import { headerText, statusIn } from '../client/raw-message.ts'

/** Bytes of one message of a snapshot or a restore. */
const chunkSize = 128 * 1024
/** Bytes that the server sends, or this process, before the other side has acknowledged them. */
const windowSize = 8 * 1024 * 1024
/** Time to answer a request: the server flushes and counts before it answers, ms. */
const answerMs = 30_000
/** Silence after which a transfer has failed, ms. The server gives up after 5 s without an acknowledgement. */
const silenceMs = 20_000
/** The first status that means an error. 204 is the end of a snapshot. */
const firstErrorStatus = 400

/** A snapshot of a stream in JetStream's own compressed format. */
export interface StreamSnapshot {
  readonly config: StreamConfig
  /** State at the start. Messages that are stored during the snapshot may be in it. */
  readonly state: StreamState
  /** Yields the bytes. Rejects with NatsError when the snapshot ends early. */
  readonly chunks: AsyncIterable<Uint8Array>
}

interface ApiAnswer {
  readonly error?: { readonly description?: string }
}

const failed = (what: string, why: string): NatsError =>
  new NatsError(NatsProblem.failed, `${what} failed: ${why}`)

const ask = async <T>(nats: Nats, what: string, subject: string, request: unknown): Promise<T> => {
  let answer: T & ApiAnswer
  try {
    const message = await nats.connection.request(subject, JSON.stringify(request), { timeout: answerMs })
    answer = message.json<T & ApiAnswer>()
  } catch (error) {
    throw new NatsError(NatsProblem.failed, `${what} failed: ${(error as Error).message}`, error)
  }
  if (answer.error !== undefined) throw failed(what, answer.error.description ?? 'unknown error')
  return answer
}

/** Wakes one waiter, and fails the transfer when the connection is lost or the server stays silent. */
class Transfer {
  readonly #what: string
  readonly #unlisten: () => void
  #failure: NatsError | undefined
  #wake: (() => void) | undefined

  constructor(nats: Nats, what: string) {
    this.#what = what
    this.#unlisten = nats.onChange(connected => {
      if (!connected) this.fail('the connection to NATS was lost')
    })
  }

  fail(why: string): void {
    this.#failure ??= failed(this.#what, why)
    this.wake()
  }

  wake(): void {
    this.#wake?.()
  }

  /** Waits until `wake` is called while `isDone` holds. Rejects with NatsError. */
  async until(isDone: () => boolean): Promise<void> {
    while (this.#failure === undefined && !isDone()) {
      const { promise, resolve } = Promise.withResolvers<boolean>()
      this.#wake = () => resolve(true)
      const timer = setTimeout(() => resolve(false), silenceMs)
      if (!(await promise)) this.fail(`NATS did not answer for ${silenceMs / 1000} s`)
      clearTimeout(timer)
    }
    if (this.#failure !== undefined) throw this.#failure
  }

  end(): void {
    this.#unlisten()
  }
}

/** Starts a snapshot of a stream without its consumers. Read `chunks` at once: the server waits 5 s. */
export const snapshotStream = async (nats: Nats, stream: string): Promise<StreamSnapshot> => {
  const { connection } = nats
  const what = `the snapshot of stream ${stream}`
  const transfer = new Transfer(nats, what)
  const inbox = createInbox()
  let queue: { data: Uint8Array; reply: string | undefined }[] = []
  let isComplete = false
  const subscription = nats.subscribe(inbox, msg => {
    if (msg.data.length > 0) queue.push({ data: Buffer.from(msg.data), reply: msg.reply })
    else {
      const headers = headerText(msg)
      if (statusIn(headers) >= firstErrorStatus) transfer.fail(headers.slice(9, headers.indexOf('\r')))
      isComplete = true
    }
    transfer.wake()
  })
  const end = (): void => {
    subscription.unsubscribe()
    transfer.end()
  }
  const chunks = async function* (): AsyncIterable<Uint8Array> {
    try {
      for (;;) {
        await transfer.until(() => isComplete || queue.length > 0)
        const received = queue
        queue = []
        if (received.length === 0) return
        for (const { data, reply } of received) {
          yield data
          if (reply) connection.publish(reply)
        }
      }
    } finally {
      end()
    }
  }
  try {
    const request = {
      deliver_subject: inbox,
      no_consumers: true,
      chunk_size: chunkSize,
      window_size: windowSize,
    }
    const { config, state } = await ask<{ config: StreamConfig; state: StreamState }>(
      nats,
      what,
      apiSubject('STREAM.SNAPSHOT', stream),
      request,
    )
    return { config, state, chunks: chunks() }
  } catch (error) {
    end()
    throw error
  }
}

const piecesOf = function* (data: Uint8Array): Iterable<Uint8Array> {
  for (let at = 0; at < data.length; at += chunkSize) yield data.subarray(at, at + chunkSize)
}

/**
 * Creates a stream from a snapshot, with other settings where `config` has them. When `chunks` rejects, the server
 * drops what it has received. Rejects with NatsError; the stream may exist then, with a part of the messages.
 */
export const restoreStream = async (
  nats: Nats,
  config: StreamConfig,
  state: Pick<StreamState, 'messages' | 'bytes'>,
  chunks: AsyncIterable<Uint8Array>,
): Promise<StreamInfo> => {
  const { connection } = nats
  const what = `the restore of stream ${config.name}`
  const { deliver_subject: to } = await ask<{ deliver_subject: string }>(
    nats,
    what,
    apiSubject('STREAM.RESTORE', config.name),
    { config, state },
  )
  const transfer = new Transfer(nats, what)
  const reply = createInbox()
  let result: StreamInfo | undefined
  let unacknowledged = 0
  const subscription = nats.subscribe(reply, msg => {
    unacknowledged--
    if (msg.data.length > 0) {
      const text = msg.string()
      // The server reports an error of its storage as text.
      const answer = text.startsWith('{') ? (JSON.parse(text) as StreamInfo & ApiAnswer) : undefined
      if (answer === undefined || answer.error !== undefined)
        transfer.fail(answer?.error?.description ?? text)
      else result = answer
    }
    transfer.wake()
  })
  try {
    for await (const chunk of chunks)
      for (const piece of piecesOf(chunk)) {
        await transfer.until(() => unacknowledged < windowSize / chunkSize)
        unacknowledged++
        connection.publish(to, piece, { reply })
      }
    unacknowledged++
    connection.publish(to, new Uint8Array(0), { reply })
    await transfer.until(() => result !== undefined)
    return result as unknown as StreamInfo
  } catch (error) {
    // A message without a reply subject ends the restore at the server at once.
    if (nats.connected()) connection.publish(to, 'end')
    throw error
  } finally {
    subscription.unsubscribe()
    transfer.end()
  }
}
