import {
  ConfabError,
  type InboxItem,
  type MemberItem,
  type Position,
  type SearchHit,
} from '../../events/index.ts'
import type { ProjectionName } from '../views/projection.ts'

/**
 * The queries of the read side. Every view may lag behind the log and reports its position. Views do not authorise:
 * the edge checks the conversation's state first. Cursors are opaque.
 */
export interface Views {
  readonly timeline: TimelineQueries
  readonly inbox: InboxQueries
  readonly roster: RosterQueries
  readonly search: SearchQueries
  /** Returns a projection's position in each stream: every event up to and including that sequence is applied. */
  positions(projection: ProjectionName): Promise<readonly Position[]>
}

export interface TimelineEntry {
  readonly seq: number
  readonly streamSeq: number
  /** The event's bytes at the current schema version, as clients receive them. */
  readonly data: Uint8Array
}

/** The last event that edited or deleted a message. */
export interface TimelineAmendment {
  /** seq of the message. */
  readonly messageSeq: number
  /** seq of the event. */
  readonly seq: number
  /** The `message.edited`, as the log has it; undefined: the message is deleted. */
  readonly data: Uint8Array | undefined
  /** seq of the last edit that changed the data of the application; 0: no edit did. */
  readonly dataSeq: number
}

export interface TimelineQueries {
  /**
   * Returns events as the log has them, also the texts of deleted messages: only the reader of the edge may read them.
   * Those with a seq above `after`, or below `before`, or the last ones if neither is given; ascending, at
   * most `limit`.
   */
  page(
    c: string,
    range: { after?: number; before?: number; limit: number },
  ): Promise<readonly TimelineEntry[]>
  /** Returns a message. `fingerprint` is of its `message.posted`, so it stays the same when the message is edited. */
  findMessage(
    c: string,
    m: string,
  ): Promise<
    { m: string; seq: number; from: string; at: string; deleted: boolean; fingerprint: number } | undefined
  >
  head(c: string): Promise<{ seq: number; streamSeq: number } | undefined>
  /** Returns the last edit or deletion of each message with a seq from `from` to `to`, both included. */
  amendments(c: string, from: number, to: number): Promise<readonly TimelineAmendment[]>
  /** Returns the seqs of the messages with this file attached, deleted or not. */
  messagesWith(c: string, mediaId: string): Promise<readonly number[]>
}

/** A message that no device of its receiver has received. */
export interface WaitingMessage {
  readonly c: string
  readonly seq: number
  readonly m: string
  readonly from: string
  readonly at: string
}

export interface InboxQueries {
  /**
   * Returns a user's conversations, by the time of the last message or of the user's own arrival if that is later: the
   * latest first. Later pages continue in the order of the first one: a conversation that has a new message meanwhile
   * keeps its place in them, and no later page contains a conversation that is new meanwhile. Conversations that the
   * user has hidden are left out.
   */
  page(
    user: string,
    page: { limit: number; cursor?: string },
  ): Promise<{
    items: readonly InboxItem[]
    cursor?: string
    /** Ids of the conversations whose last message may be from before the user joined. */
    early?: readonly string[]
  }>
  /**
   * Returns the messages that wait for a user, by conversation and seq: posted at or after `since` and not deleted,
   * later than the user's read and delivered markers, not sent by the user, and not from before the user joined.
   */
  undelivered(
    user: string,
    page: { since: string; limit: number; cursor?: string },
  ): Promise<{ messages: readonly WaitingMessage[]; cursor?: string }>
  /** Returns one conversation of a user, hidden or not. */
  item(user: string, c: string): Promise<InboxItem | undefined>
  /** Returns the heads of those of the conversations that the user has. */
  heads(user: string, conversations: readonly string[]): Promise<ReadonlyMap<string, number>>
}

/**
 * A member, or a follower of a channel with the role of a plain member. `follows` is set independently of other
 * roles.
 */
export interface RosterItem extends MemberItem {
  follows?: true
}

export interface RosterQueries {
  /** Returns the ids of a user's conversations with the view's positions, both read in one snapshot. */
  conversationsOf(user: string): Promise<{ conversations: readonly string[]; positions: readonly Position[] }>
  members(
    c: string,
    page: { limit: number; cursor?: string },
  ): Promise<{ members: readonly RosterItem[]; cursor?: string }>
  /** Returns the ids of the conversations that invite a user, sorted. */
  invitationsOf(
    user: string,
    page: { limit: number; cursor?: string },
  ): Promise<{ conversations: readonly string[]; cursor?: string }>
}

export interface SearchQuery {
  readonly q: string
  /** Search only in these conversations: the caller passes those that the user is a member of. */
  readonly conversations: readonly string[]
  /** Of some of these conversations, the seq from which on messages are found. */
  readonly firsts?: ReadonlyMap<string, number>
  readonly from?: string
  /** Only messages with `at` at or after this time, ms since 1970. */
  readonly after?: number
  /** Only messages with `at` before this time, ms since 1970. */
  readonly before?: number
  readonly hasMedia?: boolean
  readonly limit: number
  readonly cursor?: string
}

export interface SearchQueries {
  /** Returns hits, newest first. Throws ConfabError BAD_REQUEST for an invalid query or cursor. */
  search(query: SearchQuery): Promise<{ hits: readonly SearchHit[]; cursor?: string }>
}

/** Encodes the position of a page's last row as an opaque cursor. */
export const encodeCursor = (place: readonly string[]): string =>
  Buffer.from(place.join('\n')).toString('base64url')

/** Decodes a cursor into its `parts` strings. Throws ConfabError BAD_REQUEST when it is not a valid cursor. */
export const decodeCursor = (cursor: string, parts: number): string[] => {
  const place = Buffer.from(cursor, 'base64url').toString().split('\n')
  if (place.length !== parts || encodeCursor(place) !== cursor)
    throw new ConfabError(
      'BAD_REQUEST',
      'This is not a valid cursor. Use the `cursor` of an earlier answer.',
      { field: '/cursor' },
    )
  return place
}
