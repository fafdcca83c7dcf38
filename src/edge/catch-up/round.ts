import type { RefetchReason, StreamPosition } from '../../events/index.ts'
import type { MembershipChange } from '../access/memberships.ts'
import type { Readable } from '../access/readable.ts'
import type { WireEvent } from '../delivery/wire.ts'
import type { Session } from '../sessions/session.ts'
import type { Cursor } from './shared-reads.ts'

/** A conversation that a session cannot continue from its cursor. */
export interface Refetch {
  readonly reason: RefetchReason
  readonly head: number
}

/** The missed events of one conversation. */
export interface Missed {
  /** Undefined when there is nothing to send, or when the state of the conversation cannot be read. */
  readonly readable?: Readable
  readonly events: readonly WireEvent[]
  /** Whether `events` are all events up to where the round reads. */
  readonly isComplete: boolean
  readonly refetch?: Refetch
  /** The error of a read that may succeed later. */
  readonly error?: unknown
}

/**
 * Returns the reason for which what was read cannot be sent. The client fetches what it may read when events between
 * its cursor and the first readable one are missing: it would wait for them. That includes a change since the read.
 */
export const refetchOf = ({ readable, events, refetch }: Missed): Refetch | undefined =>
  refetch ??
  (readable !== undefined && (events[0]?.seq ?? Number.POSITIVE_INFINITY) < readable.first
    ? { reason: 'too_far', head: readable.view.head }
    : undefined)

/**
 * How a round ended. `done`: the session has received everything and now receives live events. `continue`: another
 * round is due. `wait`: another round is due after the live feed has advanced. `full`: another round is due after the
 * client has read.
 */
export type RoundResult = 'done' | 'continue' | 'wait' | 'full'

/** Starts a round. `until`: where an earlier round was to read to, when it has not sent all of that. */
export type BeginRound = (
  conversations: Set<string>,
  options: { readonly isForAll: boolean; readonly until?: readonly StreamPosition[] },
) => Round

/** The cursors of one session that catches up, and the way in which it is sent what it missed. */
export interface Resume {
  readonly session: Session
  /** Bytes that a round reads. A conversation that exceeds the rest of them is incomplete. */
  readonly maxBytes: number
  /** Whether an incomplete conversation is sent as far as it was read, and counts towards `maxBytes`. */
  readonly sendsParts: boolean
  /** Events that were sent up to now. */
  readonly sentEvents: number
  /** Calls `begin` in the turn of the event loop in which it knows the conversations, and resolves to its result. */
  start(begin: BeginRound): Promise<Round>
  /**
   * Returns from where a conversation is to be read, `refetch` when it cannot be continued, undefined when nothing is
   * missing.
   */
  admit(c: string): Promise<{ readable: Readable; cursor: Cursor } | { refetch: Refetch } | undefined>
  /**
   * Sends what was read. When nothing is missing any more, it also sends the buffered live events and subscribes the
   * session. It does not wait: each live event is either buffered before this turn of the event loop or delivered after
   * it.
   */
  deliver(round: Round, missed: ReadonlyMap<string, Missed>): RoundResult
}

/** Bytes of live events that one round buffers. */
const bufferBytes = 256 * 1024

/**
 * One round of a session's catch-up: the conversations that are read, and the live events that arrive meanwhile. Missed
 * events are read up to the positions of the live feed at which the round began. Every later event arrives at `offer`.
 */
export class Round {
  readonly user: string
  /** The conversations that the round is for, without those that the user has left since. */
  readonly conversations: Set<string>
  /** Positions up to which events are read. */
  readonly positions: readonly StreamPosition[]
  /**
   * Whether events are read up to where the round began, so that nothing is missing between them and the buffered
   * events.
   */
  readonly isCurrent: boolean
  /** Conversations that the user left, or was removed from, during the round. */
  readonly left = new Set<string>()
  /** Conversations that the user joined during the round. */
  readonly joined = new Set<string>()
  readonly #isForAll: boolean
  readonly #maxEvents: number
  #buffer: WireEvent[] | undefined = []
  #bytes = 0

  /** `isForAll`: the round is for all conversations of the user, those included that the user joins meanwhile. */
  constructor(
    user: string,
    conversations: Set<string>,
    options: {
      readonly positions: readonly StreamPosition[]
      readonly isCurrent: boolean
      readonly isForAll: boolean
      readonly maxEvents: number
    },
  ) {
    this.user = user
    this.conversations = conversations
    this.positions = options.positions
    this.isCurrent = options.isCurrent
    this.#isForAll = options.isForAll
    this.#maxEvents = options.maxEvents
  }

  /**
   * The live events since the round began, in order. Undefined after an overflow: then they are read in the next round.
   */
  get buffered(): readonly WireEvent[] | undefined {
    return this.#buffer
  }

  /** Buffers a live event, if the round needs it. */
  offer(event: WireEvent): void {
    if (this.#buffer === undefined || !this.conversations.has(event.c)) return
    this.#bytes += event.wire.json.length
    if (this.#buffer.length < this.#maxEvents && this.#bytes < bufferBytes) this.#buffer.push(event)
    else this.#buffer = undefined
  }

  /** Discards the buffer, because it lacks a live event. */
  overflow(): void {
    this.#buffer = undefined
  }

  /** Follows a change of membership: a user receives no event of a conversation that it has left. */
  changed({ c, joined, left }: MembershipChange): void {
    if (joined.includes(this.user)) {
      this.joined.add(c)
      if (this.#isForAll || this.left.has(c)) this.conversations.add(c)
    }
    if (left !== this.user) return
    if (this.conversations.delete(c)) this.left.add(c)
    this.joined.delete(c)
    this.#buffer = this.#buffer?.filter(event => event.c !== c)
  }
}
