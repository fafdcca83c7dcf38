import {
  ConfabError,
  type InboxItem,
  type MemberItem,
  type Position,
  type SearchHit,
} from '../../events/index.ts'
import type { ProjectionName } from '../views/projection.ts'

/**
 * What the read side answers. Every view may lag behind the log, and says where it stands. Nobody is authorised here: the edge asks the conversation's own
 * state first. Cursors are opaque.
 */
export interface Views {
  readonly timeline: TimelineQueries
  readonly inbox: InboxQueries
  readonly roster: RosterQueries
  readonly search: SearchQueries
  /** What a projection has applied, by stream: every event up to and with that sequence. */
  positions(projection: ProjectionName): Promise<readonly Position[]>
}

export interface TimelineEntry {
  readonly seq: number
  readonly streamSeq: number
  /** The event's bytes at the current version, as clients get them. */
  readonly data: Uint8Array
}

export interface TimelineQueries {
  /** Events with a seq over `after`, or under `before`, or the last ones when neither is given; ascending, at most `limit`. */
  page(
    c: string,
    range: { after?: number; before?: number; limit: number },
  ): Promise<readonly TimelineEntry[]>
  findMessage(
    c: string,
    m: string,
  ): Promise<{ m: string; seq: number; from: string; at: string; deleted: boolean } | undefined>
  head(c: string): Promise<{ seq: number; streamSeq: number } | undefined>
}

/** A message that none of its receiver's devices has got. */
export interface WaitingMessage {
  readonly c: string
  readonly seq: number
  readonly m: string
  readonly from: string
  readonly at: string
}

export interface InboxQueries {
  /** A user's conversations, the last active first. */
  page(
    user: string,
    page: { limit: number; cursor?: string },
  ): Promise<{ items: readonly InboxItem[]; cursor?: string }>
  /**
   * The messages that wait for a user: posted at `since` or later, after what the user has read, got, or sent itself, and not deleted; by conversation and seq.
   * What a user joined later than is not among them.
   */
  undelivered(
    user: string,
    page: { since: string; limit: number; cursor?: string },
  ): Promise<{ messages: readonly WaitingMessage[]; cursor?: string }>
  /** One conversation of a user. */
  item(user: string, c: string): Promise<InboxItem | undefined>
}

/** A member, or who follows a channel, then as a plain one. `follows`: whatever else they are. */
export interface RosterItem extends MemberItem {
  follows?: true
}

export interface RosterQueries {
  /** Ids of the conversations that a user is in, with what the view had applied when it said so: read both in one snapshot. */
  conversationsOf(user: string): Promise<{ conversations: readonly string[]; positions: readonly Position[] }>
  members(
    c: string,
    page: { limit: number; cursor?: string },
  ): Promise<{ members: readonly RosterItem[]; cursor?: string }>
}

export interface SearchQuery {
  readonly q: string
  /** Only in these conversations: those that the asker is a member of. */
  readonly conversations: readonly string[]
  readonly from?: string
  /** Milliseconds since 1970: `at` at or after. */
  readonly after?: number
  /** Milliseconds since 1970: `at` before. */
  readonly before?: number
  readonly hasMedia?: boolean
  readonly limit: number
  readonly cursor?: string
}

export interface SearchQueries {
  /** Newest first. Throws ConfabError BAD_REQUEST for a query or cursor that makes no sense. */
  search(query: SearchQuery): Promise<{ hits: readonly SearchHit[]; cursor?: string }>
}

/** An opaque cursor: where the last row of a page stands in the order of the pages. */
export const encodeCursor = (place: readonly string[]): string =>
  Buffer.from(place.join('\n')).toString('base64url')

/** The `parts` strings of a cursor. Throws ConfabError BAD_REQUEST when it is not one of ours. */
export const decodeCursor = (cursor: string, parts: number): string[] => {
  const place = Buffer.from(cursor, 'base64url').toString().split('\n')
  if (place.length !== parts || encodeCursor(place) !== cursor)
    throw new ConfabError('BAD_REQUEST', 'This cursor is not one that was given out.', { field: '/cursor' })
  return place
}
