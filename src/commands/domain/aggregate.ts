import type {
  AppData,
  Envelope,
  ErrorCode,
  ErrorDetails,
  Family,
  Position,
  StoredEvent,
} from '../../events/index.ts'

/** The part of a state that all aggregates have. `seq` 0: the aggregate has no event yet. */
export interface AggregateState {
  /** Sequence number of the last event in the state. */
  seq: number
  /** Position of that event in the log. */
  stream: string
  streamSeq: number
  /** Latest time of an event in the state; empty without events. A later event is never earlier than this. */
  at: string
  /**
   * Whether events of unknown types were skipped. Such a state is never written to a snapshot: a newer build that
   * knows the types reads the events from the log.
   */
  hasSkipped: boolean
}

/** The log's data about an event, apart from its body. */
export interface Origin extends Position {
  readonly commandId: string
  /** When this process applied the event, by its monotonic clock, ms. Undefined: not known. */
  readonly seenAt?: number | undefined
  /** Whether the process applied the event when it was stored. False: it read the event some time after. */
  readonly isLive?: boolean | undefined
}

/**
 * The states of one family: pure functions. `evolve` changes the state in place, so that an event costs the same in a
 * conversation of 2 and of 15,700 members. Fork a state to evolve it without changing the original.
 */
export interface AggregateType<S extends AggregateState, E> {
  readonly family: Family
  /** Version of the format that `serialise` writes. Increment it with every change of the format. */
  readonly snapshotVersion: number
  empty(id: string): S
  /** Throws UnreadableEventError. */
  decode(stored: StoredEvent): E
  evolve(state: S, event: E, origin: Origin): void
  /** Advances the state past an event whose type this build does not know. */
  skip(state: S, envelope: Envelope, origin: Origin): void
  /** Returns a copy that evolves independently, by up to `events` events. */
  fork(state: S, events: number): S
  serialise(state: S): Uint8Array
  /**
   * `now`: the monotonic clock of this process, ms. Throws for a version that it cannot read, for malformed bytes, and
   * for a state that has to be rebuilt from the log.
   */
  deserialise(id: string, bytes: Uint8Array, version: number, now?: number): S
  /** Estimated memory of a state, bytes. */
  bytes(state: S): number
}

/** Estimated memory of data, bytes: its JSON in UTF-16, and as much for the objects. */
export const dataBytes = (data: AppData | undefined): number =>
  data === undefined ? 0 : JSON.stringify(data).length * 4

/** A change that the log of a user has to record, because the log of a channel does not. */
export interface Handover {
  readonly user: string
  readonly follow: boolean
  /** Decide the command once more after the change. */
  readonly again?: boolean
}

/** The result of a decider. A command produces at most one event. */
export type Decision<E> =
  | { readonly event: E }
  /** Nothing has to change, and this is the answer. `done`: the same command has made the change before. */
  | { readonly unchanged: object; readonly done?: true }
  | ({ readonly refused: ErrorCode; readonly message?: string } & ErrorDetails)
  /** The log of a user has to record whether the user follows this channel. */
  | { readonly handover: Handover }
  /** The decider needs message `lacks` as of event `upTo` or later. Look it up, then decide again with `found`. */
  | { readonly lacks: string; readonly upTo: number }

/**
 * Whether a newer state may lead to another decision. The log fences an event by its expected sequence. A refusal,
 * and an unchanged state, have no such fence, so the bus confirms them on the current state of the log.
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
