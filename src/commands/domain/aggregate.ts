import type { ErrorCode, Family, Position, StoredEvent } from '../../events/index.ts'

/** What every aggregate's state says of itself. `seq` 0: it has no event yet. */
export interface AggregateState {
  /** seq of the last event that it holds. */
  seq: number
  /** Where that event stands in the log. */
  stream: string
  streamSeq: number
}

/** What the log knows of an event beside its body. */
export interface Origin extends Position {
  readonly commandId: string
}

/**
 * How the states of one family live: all of it pure. `evolve` changes the state in place, so that a message costs the same in a conversation of 2 and of
 * 15,700; whoever wants to try events out forks the state first.
 */
export interface AggregateType<S extends AggregateState, E> {
  readonly family: Family
  /** Raised with every change of what `serialise` writes. */
  readonly snapshotVersion: number
  empty(id: string): S
  /** Throws MalformedEventError. */
  decode(stored: StoredEvent): E
  evolve(state: S, event: E, origin: Origin): void
  /** A state that evolves on its own from here, by so many events. */
  fork(state: S, events: number): S
  serialise(state: S): Uint8Array
  /** Throws when the bytes are not what `serialise` writes. */
  deserialise(id: string, bytes: Uint8Array): S
  /** Memory that the state takes, bytes, estimated. */
  bytes(state: S): number
}

/** What a user's log is to say. */
export interface Handover {
  readonly user: string
  readonly follow: boolean
  /** The command is to be decided once more after that. */
  readonly again?: boolean
}

/** What a decider may answer. One command makes one event at most. */
export type Decision<E> =
  | { readonly event: E }
  /** Nothing has to change: this is the answer. `done`: because the same command has changed it before. */
  | { readonly unchanged: object; readonly done?: true }
  | {
      readonly refused: ErrorCode
      readonly message?: string
      readonly field?: string
      /** Not before that much later, ms. */
      readonly retryAfterMs?: number
    }
  /** It is for the log of a user to say whether they follow this channel. */
  | { readonly handover: Handover }
  /** It cannot say without knowing message `m` as it was at seq `upTo` or later: ask again with `found`. */
  | { readonly lacks: string; readonly upTo: number }

/**
 * Whether a decision may be another one on a newer state. An event is fenced by the log's expectation; a refusal, or that nothing has to change, has to be made
 * sure of otherwise. What has happened before has happened.
 */
export const isProvisional = (decision: Decision<unknown>): boolean =>
  'refused' in decision
    ? decision.refused !== 'BAD_REQUEST' && decision.refused !== 'TOO_LARGE'
    : 'unchanged' in decision && decision.done !== true

export type Refusal = Extract<Decision<never>, { refused: ErrorCode }>

export const refuse = (code: ErrorCode, message?: string, field?: string): Refusal => ({
  refused: code,
  ...(message === undefined ? {} : { message }),
  ...(field === undefined ? {} : { field }),
})
