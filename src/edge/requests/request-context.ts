import type { CommandBus, MessageLookup, StateReader } from '../../commands/index.ts'
import type { AnswerOf, RequestOf, RequestType } from '../../events/index.ts'
import type { Media } from '../../media/index.ts'
import type { Views } from '../../projections/index.ts'
import type { Access } from '../access/access.ts'
import type { Memberships } from '../access/memberships.ts'
import type { ViewFreshness } from '../access/view-freshness.ts'
import type { CatchUp } from '../catch-up/catch-up.ts'
import type { ConversationReader } from '../catch-up/conversation-reader.ts'
import type { EdgeLimits } from '../ports/edge-limits.ts'
import type { LastSeen, PresenceBoard, PresenceCounts } from '../presence/index.ts'
import type { Caller } from '../sessions/caller.ts'
import type { JsonFields } from '../sessions/frames.ts'
import type { CallSignals } from '../signals/call-signals.ts'
import type { TypingBoard } from '../signals/typing-board.ts'

/** What requests are answered with. */
export interface RequestContext {
  readonly bus: CommandBus
  readonly states: StateReader
  readonly views: Views
  readonly access: Access
  readonly reader: ConversationReader
  readonly freshness: ViewFreshness
  readonly memberships: Memberships
  readonly presence: PresenceBoard
  readonly presenceCounts: PresenceCounts
  /** Undefined where nobody knows. */
  readonly lastSeen: LastSeen | undefined
  readonly catchUp: CatchUp
  readonly typing: TypingBoard
  readonly calls: CallSignals
  /** Undefined where there is no store of media. */
  readonly media: Media | undefined
  /** Finds messages, however far the views lag. */
  readonly lookup: MessageLookup
  readonly limits: EdgeLimits
}

/** What the answer adds, or already as JSON. */
export type Fields<T extends RequestType> = AnswerOf[T] | JsonFields

export type Handler<T extends RequestType> = (
  request: RequestOf[T],
  caller: Caller,
) => Fields<T> | Promise<Fields<T>>
