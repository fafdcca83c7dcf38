import type { CommandBus, MessageLookup, StateReader } from '../../commands/index.ts'
import type { AnswerOf, RequestOf, RequestType } from '../../events/index.ts'
import type { Media } from '../../media/index.ts'
import type { Views } from '../../projections/index.ts'
import type { Access } from '../access/access.ts'
import type { Memberships } from '../access/memberships.ts'
import type { SeenWaits } from '../access/seen-waits.ts'
import type { ViewFreshness } from '../access/view-freshness.ts'
import type { CatchUp } from '../catch-up/catch-up.ts'
import type { ConversationReader } from '../catch-up/conversation-reader.ts'
import type { Admission } from '../limits/admission.ts'
import type { Quotas } from '../limits/quotas.ts'
import type { Searches } from '../limits/searches.ts'
import type { StorageReserve } from '../limits/storage-reserve.ts'
import type { EdgeLimits } from '../ports/edge-limits.ts'
import type { Contacts, LastSeen, PresenceBoard, PresenceCounts } from '../presence/index.ts'
import type { Caller } from '../sessions/caller.ts'
import type { JsonFields } from '../sessions/frames.ts'
import type { Revocations } from '../sessions/revocations.ts'
import type { SessionDirectory } from '../sessions/session-directory.ts'
import type { CallSignals } from '../signals/call-signals.ts'
import type { TypingBoard } from '../signals/typing-board.ts'

/** The services that request handlers use. */
export interface RequestContext {
  readonly bus: CommandBus
  readonly states: StateReader
  readonly views: Views
  readonly access: Access
  readonly admission: Admission
  readonly quotas: Quotas
  readonly reserve: StorageReserve
  readonly reader: ConversationReader
  readonly freshness: ViewFreshness
  readonly seenWaits: SeenWaits
  readonly searches: Searches
  readonly memberships: Memberships
  readonly contacts: Contacts
  readonly presence: PresenceBoard
  readonly presenceCounts: PresenceCounts
  /** Undefined when last-seen times are not stored. */
  readonly lastSeen: LastSeen | undefined
  readonly catchUp: CatchUp
  readonly typing: TypingBoard
  readonly calls: CallSignals
  /** Undefined when this server has no media store. */
  readonly media: Media | undefined
  /** Finds messages in the timeline view and in the part of the log that the view lacks. */
  readonly lookup: MessageLookup
  readonly tokens: Revocations
  readonly directory: SessionDirectory
  readonly limits: EdgeLimits
}

/** The fields of an answer, as an object or as JSON text. */
export type Fields<T extends RequestType> = AnswerOf[T] | JsonFields

/** Answers a valid request. Throws or rejects with ConfabError where the client may see the reason. */
export type Handler<T extends RequestType> = (
  request: RequestOf[T],
  caller: Caller,
) => Fields<T> | Promise<Fields<T>>
