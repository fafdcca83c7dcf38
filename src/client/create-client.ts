import type { ConversationEvent, HelloAnswer, Push } from '../events/index.ts'
import type { ClientEvents, ClientOptions, ConfabClient } from './client-types.ts'
import { Connection } from './connection.ts'
import { CursorEpoch } from './cursor-epoch.ts'
import { Emitter, EventQueue } from './emitter.ts'
import { createHttp } from './http.ts'
import { Outbox } from './outbox.ts'
import { closed, type RequestErrorBody } from './request-error.ts'
import { Requests } from './requests.ts'
import { Sequencer } from './sequencer.ts'
import { uploadFile } from './upload.ts'
import { uuidV7 } from './uuid-v7.ts'

/** Cursors per `hello` or `sync` frame: with ids of 64 characters and a long token it still fits in 64 KiB. */
const cursorsInFrame = 500
/** Maximum number of events that the reader of an iterator may be behind. */
const iteratorLimit = 10_000

/** Creates a client of one user on one device. It does not connect before `connect`. */
export const createClient = (options: ClientOptions): ConfabClient => {
  const requestTimeoutMs = options.requestTimeoutMs ?? 30_000
  const emitter = new Emitter<ClientEvents>()
  const queues = new Set<EventQueue<ConversationEvent>>()
  const epoch = new CursorEpoch(options.epoch ?? 1)
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
        // Without a connection nothing is sent: connecting resumes.
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
  /** Cursors that did not fit in this connection's hello. */
  let unsent: Record<string, number>[] = []

  const take = (frame: { re: string; ok: boolean; error?: RequestErrorBody } | Push): void => {
    if ('re' in frame) requests.answer(frame)
    else if (frame.t === 'event') sequencer.accept(frame)
    else if (frame.t === 'signal') emitter.emit('signal', frame)
    else if (frame.t === 'inbox') emitter.emit('inbox', frame)
    else if (frame.t === 'invitation') emitter.emit('invitation', frame)
    else if (frame.t === 'epoch') epoch.risen(frame.epoch)
    else if (frame.t === 'synced') {
      epoch.checked(frame.c)
      if (!sequencer.synced(frame.c, frame.seq)) return
      outbox.caughtUp(frame.c, frame.seq)
      emitter.emit('synced', { c: frame.c, seq: frame.seq })
    } else if (frame.t === 'refetch') {
      sequencer.refetch(frame.c, frame.reason)
      epoch.checked(frame.c)
      if (frame.reason === 'epoch') outbox.lost(frame.c)
      emitter.emit('refetch', { c: frame.c, head: frame.head, reason: frame.reason })
    }
    // Pushes of a later protocol version are ignored.
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
      return { cursors: first, epoch: epoch.value }
    },
    onState: state => {
      if (state !== 'open') requests.interrupted()
      if (state === 'closed') end()
      emitter.emit('state', state)
    },
    onHello: (answer: HelloAnswer) => {
      user = answer.user
      emitter.emit('hello', answer)
      const before = epoch.value
      epoch.resumed(answer.epoch, Object.keys(sequencer.cursors()))
      for (const cursors of unsent) requests.make('sync', { cursors, epoch: before }).catch(() => {})
      // The connection's own pings are not counted.
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
    retryForMs: requestTimeoutMs,
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
    get epoch() {
      return epoch.value
    },
    get user() {
      return user
    },
    connect: () => connection.connect(),
    reconnect: () => connection.reconnect(),
    request: (t, fields) => requests.make(t, fields),
    send: (c, text, { m = uuidV7(), replyTo, attachments = [], data } = {}) =>
      outbox.add({
        c,
        m,
        text,
        ...(replyTo === undefined ? {} : { replyTo }),
        ...(attachments.length === 0 ? {} : { attachments: [...attachments] }),
        ...(data === undefined ? {} : { data }),
      }),
    direct: user => requests.make('direct', { user }),
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
