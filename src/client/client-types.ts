import type {
  AnswerOf,
  Attachment,
  ConversationEvent,
  HelloAnswer,
  Push,
  RefetchReason,
  RequestOf,
  RequestType,
} from '../events/index.ts'
import type { RequestErrorBody } from './request-error.ts'
import type { UploadOptions } from './upload.ts'

export interface ClientOptions {
  /** `ws://…/v1/ws` or `wss://…/v1/ws`. */
  readonly url: string
  /** The token, or what gets a fresh one: called at each connection. */
  readonly token: string | (() => string | Promise<string>)
  /** Device id; a second socket of the same user and device replaces the first. Default: a random one. */
  readonly device?: string
  /** Where to go on: conversation id to last applied seq, as `cursors()` gave it. */
  readonly resume?: Readonly<Record<string, number>>
  /** First wait before reconnecting, ms; doubles, with full jitter. Default 250. */
  readonly backoffMs?: number
  /** Longest wait before reconnecting, ms. Default 15,000. */
  readonly maxBackoffMs?: number
  /** How long a request may go unanswered, ms, reconnects included. Default 30,000. */
  readonly requestTimeoutMs?: number
  /** How long a gap may stay open before `sync`, ms. Default 1,000. */
  readonly gapMs?: number
  /** The socket's constructor, where there is none globally or another is wanted. */
  readonly WebSocket?: typeof WebSocket
}

/** `connecting` before hello is answered, `waiting` between tries, `closed` after `close()` or a refusal that retrying cannot mend. */
export type ConnectionState = 'connecting' | 'open' | 'waiting' | 'closed'

/** A message that was written here and whose event was not delivered yet: on its way, acked, or refused. */
export interface PendingMessage {
  readonly c: string
  readonly m: string
  readonly text: string
  readonly replyTo?: string
  readonly attachments?: readonly Attachment[]
  /** When it was written; when it was stored, once acked. */
  readonly at: string
  readonly state: 'sending' | 'sent' | 'failed'
  /** Why it failed. */
  readonly error?: RequestErrorBody
}

/** What a client tells of, by name. */
export interface ClientEvents {
  /** An event of a conversation: in order, each once. */
  event: ConversationEvent
  /** Typing, presence, receipts. */
  signal: Extract<Push, { t: 'signal' }>
  /** The user's marks moved, here or on another device. */
  inbox: Extract<Push, { t: 'inbox' }>
  /**
   * What was held of this conversation is not to be continued: fetch `history` again, then `setCursor`; until then its events are held back.
   * `not_member`: the user is out of it, nothing more comes unless it is let in again.
   */
  refetch: { c: string; head: number; reason: RefetchReason }
  /** A conversation is caught up after connecting. */
  synced: { c: string; seq: number }
  state: ConnectionState
  /** hello was answered: the first time, and after each reconnect. */
  hello: HelloAnswer
  /** The messages on their way in a conversation changed. One is gone from here right after its event was delivered. */
  pending: { c: string; messages: readonly PendingMessage[] }
  /** Something that no request can be answered with: a refused token, a frame that makes no sense. */
  error: Error & { code?: string }
}

export interface ConfabClient {
  readonly state: ConnectionState
  /** The user of the token, once hello is answered. */
  readonly user: string | undefined
  /** Connects, and keeps connected until `close`. Resolves at the first hello; rejects when it is refused for good. While waiting for the next try: tries now. */
  connect(): Promise<HelloAnswer>
  /** Rejects with RequestError: the server's error, or code TIMEOUT or CLOSED of the client's own. Re-sent after a reconnect until answered (commands by the same key); `typing` and `ping` are not. */
  request<T extends RequestType>(t: T, fields: Omit<RequestOf[T], 'id' | 't'>): Promise<AnswerOf[T]>
  /**
   * Sends a message with an id of its own (UUIDv7), shows it as pending at once, and re-sends it after reconnects until it is acked or refused. Those of one
   * conversation go one after another, so that their order is that of the calls; `request('send', …)` pipelines. `m` names it when given: the same again
   * is the same message. While there is no connection it waits; once there is, it fails with what `request` says, after `requestTimeoutMs` of retries.
   */
  send(
    c: string,
    text: string,
    options?: { replyTo?: string; m?: string; attachments?: readonly Attachment[] },
  ): Promise<AnswerOf['send'] & { m: string }>
  /**
   * Uploads a file and has it verified: what comes of it may go into the attachments of a message. Parts that do not come through are sent again. Rejects with RequestError, or with the
   * signal's reason; with the `mediaId` that `onBegun` told, a later call goes on from there.
   */
  upload(file: Blob & { readonly name?: string }, options?: UploadOptions): Promise<Attachment>
  /** A URL that gives an attachment to whoever has it, for `lifeMs`. Rejects with RequestError. */
  mediaUrl(c: string, mediaId: string): Promise<{ url: string; lifeMs: number }>
  pending(c: string): readonly PendingMessage[]
  /** Sends a refused message again, or forgets it. */
  retry(c: string, m: string): void
  discard(c: string, m: string): void
  on<K extends keyof ClientEvents>(name: K, listener: (value: ClientEvents[K]) => void): () => void
  /** Conversation events from now on, until `close` or `signal`; bounded: throws when the reader falls 10,000 behind. */
  events(options?: { c?: string; signal?: AbortSignal }): AsyncIterableIterator<ConversationEvent>
  /** The last applied seq of each conversation, to resume from. */
  cursors(): Record<string, number>
  /** After `history` was fetched: events up to `seq` are known, continue after it. Only ever forward, but after a `refetch`. */
  setCursor(c: string, seq: number): void
  close(): void
}
