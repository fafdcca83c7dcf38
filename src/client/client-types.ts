import type {
  AnswerOf,
  AppData,
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
  /** The token, or a function that fetches a fresh one for each connection. */
  readonly token: string | (() => string | Promise<string>)
  /** Device id. A second connection of the same user and device replaces the first. Default: random. */
  readonly device?: string
  /** Cursors to resume from: conversation id to last applied seq, as returned by `cursors()`. */
  readonly resume?: Readonly<Record<string, number>>
  /** Epoch of `resume`, as returned by `epoch`. Default 1. */
  readonly epoch?: number
  /** First wait before reconnecting, ms; doubles, with full jitter. Default 250. */
  readonly backoffMs?: number
  /** Longest wait before reconnecting, ms. Default 15,000. */
  readonly maxBackoffMs?: number
  /** Timeout of a request, ms, including reconnects. Default 30,000. */
  readonly requestTimeoutMs?: number
  /** How long a gap may stay open before the client sends `sync`, ms. Default 1,000. */
  readonly gapMs?: number
  /** The WebSocket constructor. Default: the global one. */
  readonly WebSocket?: typeof WebSocket
}

/**
 * `connecting`: until hello is answered. `waiting`: between attempts. `closed`: after `close()`, or after an error
 * that a retry cannot fix.
 */
export type ConnectionState = 'connecting' | 'open' | 'waiting' | 'closed'

/**
 * A message that was written on this client and whose event was not delivered yet: pending, acknowledged, or failed.
 */
export interface PendingMessage {
  readonly c: string
  readonly m: string
  readonly text: string
  readonly replyTo?: string
  readonly attachments?: readonly Attachment[]
  readonly data?: AppData
  /** The time of writing; the stored time once acknowledged. */
  readonly at: string
  readonly state: 'sending' | 'sent' | 'failed'
  /** Why the message failed. */
  readonly error?: RequestErrorBody
}

/** The events that a client emits, by name. */
export interface ClientEvents {
  /** An event of a conversation, in order, each once. */
  event: ConversationEvent
  /** Typing, presence, receipts. */
  signal: Extract<Push, { t: 'signal' }>
  /** The user's markers moved, on this or another device. */
  inbox: Extract<Push, { t: 'inbox' }>
  /** An invitation of the user was opened, or has ended. After `hello`, request `invitations`: pushes may be missed. */
  invitation: Extract<Push, { t: 'invitation' }>
  /**
   * The local state of this conversation cannot be continued: fetch `history`, then call `setCursor`. Until then its
   * events are held. `not_member`: the user left; no event follows until the user is a member again.
   */
  refetch: { c: string; head: number; reason: RefetchReason }
  /** A conversation has caught up after connecting. */
  synced: { c: string; seq: number }
  state: ConnectionState
  /** hello was answered, the first time and after each reconnect. */
  hello: HelloAnswer
  /** The pending messages of a conversation changed. A message is removed right after its event was delivered. */
  pending: { c: string; messages: readonly PendingMessage[] }
  /** An error that belongs to no request: a refused token, an invalid frame. */
  error: Error & { code?: string }
}

export interface ConfabClient {
  readonly state: ConnectionState
  /** The user of the token; undefined until hello is answered. */
  readonly user: string | undefined
  /** Epoch of the cursors: store it with them. */
  readonly epoch: number
  /**
   * Connects and stays connected until `close`. Resolves at the first hello; rejects when it is refused permanently.
   * While waiting for the next attempt: connects at once.
   */
  connect(): Promise<HelloAnswer>
  /**
   * Drops the connection and connects at once: for a device whose network has changed, before the client notices by
   * itself. Requests and messages that wait for an answer are repeated.
   */
  reconnect(): void
  /**
   * Rejects with RequestError: the server's error, or TIMEOUT or CLOSED. The request is repeated after a reconnect
   * until answered (commands with the same key), except `typing` and `ping`.
   */
  request<T extends RequestType>(t: T, fields: Omit<RequestOf[T], 'id' | 't'>): Promise<AnswerOf[T]>
  /**
   * Sends a message with a new id (UUIDv7), emits it as pending at once, and repeats it after reconnects until it is
   * acknowledged or refused. Messages of one conversation are sent one after another, so they keep the order of the
   * calls; `request('send', …)` pipelines. Pass `m` to repeat the same message. Without a connection or an answer the
   * message waits. It fails when the server refuses it, also when a retryable refusal repeats for `requestTimeoutMs`.
   */
  send(
    c: string,
    text: string,
    options?: { replyTo?: string; m?: string; attachments?: readonly Attachment[]; data?: AppData },
  ): Promise<AnswerOf['send'] & { m: string }>
  /**
   * Returns the direct conversation with a user, and creates it if there is none. Rejects as `request` does: FORBIDDEN
   * when one of the two has blocked the other.
   */
  direct(user: string): Promise<AnswerOf['direct']>
  /**
   * Uploads a file and verifies it; the result can be attached to a message. Failed parts are repeated. Rejects with
   * RequestError, or with the signal's reason. A later call with the `mediaId` from `onBegun` continues the upload.
   */
  upload(file: Blob & { readonly name?: string }, options?: UploadOptions): Promise<Attachment>
  /** Returns a URL that serves an attachment to its holder for `lifeMs`. Rejects with RequestError. */
  mediaUrl(c: string, mediaId: string): Promise<{ url: string; lifeMs: number }>
  pending(c: string): readonly PendingMessage[]
  /** Sends a failed message again, or discards it. */
  retry(c: string, m: string): void
  discard(c: string, m: string): void
  on<K extends keyof ClientEvents>(name: K, listener: (value: ClientEvents[K]) => void): () => void
  /**
   * Iterates over conversation events from now on, until `close` or `signal`. Bounded: throws when the reader is
   * 10,000 events behind.
   */
  events(options?: { c?: string; signal?: AbortSignal }): AsyncIterableIterator<ConversationEvent>
  /** Returns the last applied seq of each conversation, to resume from. */
  cursors(): Record<string, number>
  /** Marks events up to `seq` as known, after `history` was fetched. Moves only forward, except after `refetch`. */
  setCursor(c: string, seq: number): void
  close(): void
}
