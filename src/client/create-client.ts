import type { ConversationEvent, HelloAnswer, Push } from '../events/index.ts'
import type { ClientEvents, ClientOptions, ConfabClient } from './client-types.ts'
import { Connection } from './connection.ts'
import { Emitter } from './emitter.ts'
import { EventQueue } from './event-queue.ts'
import { createHttp } from './http.ts'
import { Outbox } from './outbox.ts'
import { closed, type RequestErrorBody } from './request-error.ts'
import { Requests } from './requests.ts'
import { Sequencer } from './sequencer.ts'
import { uploadFile } from './upload.ts'
import { uuidV7 } from './uuid-v7.ts'

/** Cursors in one `hello` or `sync`: with ids of 64 characters and a long token that still fits a frame of 64 KiB. */
const cursorsInFrame = 500
/** Events that the reader of an iterator may be behind. */
const iteratorLimit = 10_000

/** A client of one user on one device. It does nothing before `connect`. */
export const createClient = (options: ClientOptions): ConfabClient => {
  const requestTimeoutMs = options.requestTimeoutMs ?? 30_000
  const emitter = new Emitter<ClientEvents>()
  const queues = new Set<EventQueue<ConversationEvent>>()
  let user: string | undefined

  const sequencer = new Sequencer(
    {
      gapMs: options.gapMs ?? 1_000,
      user: () => user,
      deliver: event => {
        emitter.emit('event', event)
        outbox.delivered(event)
      },
      sync: cursors => {
        // Without a connection there is nothing to do: connecting resumes.
        if (connection.state === 'open') requests.make('sync', { cursors }).catch(() => {})
      },
    },
    options.resume,
  )

  const inFrames = (): Record<string, number>[] => {
    const all = Object.entries(sequencer.cursors())
    const frames: Record<string, number>[] = []
    for (let i = 0; i < all.length; i += cursorsInFrame)
      frames.push(Object.fromEntries(all.slice(i, i + cursorsInFrame)))
    return frames
  }
  /** Cursors that found no place in this connection's hello. */
  let unsent: Record<string, number>[] = []

  const take = (frame: { re: string; ok: boolean; error?: RequestErrorBody } | Push): void => {
    if ('re' in frame) requests.answer(frame)
    else if (frame.t === 'event') sequencer.accept(frame)
    else if (frame.t === 'signal') emitter.emit('signal', frame)
    else if (frame.t === 'inbox') emitter.emit('inbox', frame)
    else if (frame.t === 'synced') {
      if (!sequencer.synced(frame.c, frame.seq)) return
      outbox.caughtUp(frame.c, frame.seq)
      emitter.emit('synced', { c: frame.c, seq: frame.seq })
    } else if (frame.t === 'refetch') {
      sequencer.refetch(frame.c, frame.reason)
      emitter.emit('refetch', { c: frame.c, head: frame.head, reason: frame.reason })
    }
    // Anything else is of a later version: not for this client.
  }

  const connection: Connection = new Connection({
    url: options.url,
    token: options.token,
    device: options.device ?? uuidV7(),
    backoffMs: options.backoffMs ?? 250,
    maxBackoffMs: options.maxBackoffMs ?? 15_000,
    WebSocket: options.WebSocket ?? globalThis.WebSocket,
    resume: () => {
      const [first = {}, ...rest] = inFrames()
      unsent = rest
      return first
    },
    onState: state => {
      if (state !== 'open') requests.interrupted()
      if (state === 'closed') end()
      emitter.emit('state', state)
    },
    onHello: (answer: HelloAnswer) => {
      user = answer.user
      emitter.emit('hello', answer)
      for (const cursors of unsent) requests.make('sync', { cursors }).catch(() => {})
      // A ping of the connection's own is not among them.
      requests.resend(answer.limits.inFlight === undefined ? undefined : answer.limits.inFlight - 1)
    },
    onFrame: take,
    onError: error => emitter.emit('error', error),
  })

  const requests = new Requests({ timeoutMs: requestTimeoutMs, send: frame => connection.send(frame) })

  const outbox = new Outbox({
    request: fields => requests.make('send', fields),
    isOpen: () => connection.state === 'open',
    cursor: c => sequencer.last(c),
    patienceMs: requestTimeoutMs,
    changed: (c, messages) => emitter.emit('pending', { c, messages }),
  })

  const http = createHttp(options)

  const end = (): void => {
    const error = closed('The client is closed.')
    sequencer.stop()
    requests.end(error)
    outbox.end(error)
    for (const queue of queues) queue.end()
  }

  return {
    get state() {
      return connection.state
    },
    get user() {
      return user
    },
    connect: () => connection.connect(),
    request: (t, fields) => requests.make(t, fields),
    send: (c, text, { m = uuidV7(), replyTo, attachments = [] } = {}) =>
      outbox.add({
        c,
        m,
        text,
        ...(replyTo === undefined ? {} : { replyTo }),
        ...(attachments.length === 0 ? {} : { attachments: [...attachments] }),
      }),
    upload: (file, uploadOptions) =>
      uploadFile(file, { http, announce: fields => requests.make('media', fields) }, uploadOptions),
    mediaUrl: async (c, mediaId) => {
      const path = `/v1/conversations/${c}/media/${mediaId}?redirect=false`
      const { url, lifeMs } = await http.json<{ url: string; lifeMs: number }>('GET', path)
      return { url: http.resolve(url), lifeMs }
    },
    pending: c => outbox.list(c),
    retry: (c, m) => outbox.retry(c, m),
    discard: (c, m) => outbox.discard(c, m),
    on: (name, listener) => emitter.on(name, listener),
    events: ({ c, signal } = {}) => {
      const off = emitter.on('event', event => {
        if (c === undefined || event.c === c) queue.push(event)
      })
      const stop = (): void => queue.end()
      const queue: EventQueue<ConversationEvent> = new EventQueue(iteratorLimit, () => {
        off()
        queues.delete(queue)
        signal?.removeEventListener('abort', stop)
      })
      queues.add(queue)
      signal?.addEventListener('abort', stop)
      if (signal?.aborted) stop()
      return queue
    },
    cursors: () => sequencer.cursors(),
    setCursor: (c, seq) => {
      sequencer.setCursor(c, seq)
      outbox.caughtUp(c, seq)
    },
    close: () => connection.close(),
  }
}
