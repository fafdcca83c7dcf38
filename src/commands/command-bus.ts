import type { AnswerOf, ConversationRequest, Kind, Role, UserRequest } from '../events/index.ts'

/** Who asks, and when. The bus takes no time and no identity from anywhere else. */
export interface CommandContext {
  /** User id, authenticated. */
  readonly from: string
  /** ISO time that the event will carry. */
  readonly at: string
  /** W3C trace context. */
  readonly traceparent?: string
}

/** A conversation as it stands, for whoever has to authorise or to serve. Do not keep it: it goes on changing. */
export interface ConversationView {
  readonly c: string
  readonly kind: Kind
  readonly title: string | undefined
  /** seq of its last event. */
  readonly head: number
  /** Stream and stream sequence of its last event. */
  readonly stream: string
  readonly streamSeq: number
  readonly memberCount: number
  roleOf(user: string): Role | undefined
  members(): IterableIterator<string>
}

/** The marks, mutes and blocks of a user. Do not keep it. */
export interface UserView {
  readonly user: string
  readMark(c: string): number
  deliveredMark(c: string): number
  isMuted(c: string): boolean
  hasBlocked(user: string): boolean
}

/**
 * Decides commands and appends what comes of them. One command at a time in a conversation on this node, all conversations side by side; other nodes may
 * decide for the same conversation, the log's expectation is the fence.
 */
export interface CommandBus {
  /**
   * Resolves when the event is in the log (or was already, or nothing had to change). Rejects with ConfabError only. The request has to match its schema.
   * Imports go the same way, with the users and times of what they import.
   */
  execute<R extends ConversationRequest | UserRequest>(
    request: R,
    context: CommandContext,
  ): Promise<AnswerOf[R['t']]>
  /**
   * The state of a conversation, kept fresh by the live feed; undefined when there is none. Answers at once, not by a promise, when it is cached: a socket's
   * request should not wait for a turn of the loop.
   */
  conversation(c: string): ConversationView | undefined | Promise<ConversationView | undefined>
  user(user: string): UserView | Promise<UserView>
  /** Resolves when no command is under way. */
  drain(): Promise<void>
}
