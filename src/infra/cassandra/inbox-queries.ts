import type { InboxItem, Kind } from '../../events/index.ts'
import { decodeCursor, encodeCursor, type InboxQueries } from '../../projections/index.ts'
import { type Database, numberOf, type Row, textOf } from './database.ts'
import { cassandraUndelivered } from './undelivered.ts'
import { bucketOf, tablesOf } from './view-tables.ts'

/** An entry of a user's list, joined with its conversation. */
interface Joined {
  readonly c: string
  readonly at: string
  readonly entry: Row
  readonly conversation: Row
}

/**
 * Number of entries whose conversations are read together. A chunk and a page are all that is held in memory,
 * whatever the length of the list.
 */
const chunkRows = 500

const newestFirst = (a: Joined, b: Joined): number =>
  a.at !== b.at ? (a.at < b.at ? 1 : -1) : a.c < b.c ? -1 : a.c > b.c ? 1 : 0

/**
 * Joins at read time, as on SQLite: a user's entries are one partition, each conversation is one row. A page costs
 * one look-up per conversation of the user, and up to two more per item on the page; see
 * docs/adr/0018-cassandra-tables.md for figures. Memory is a page and a chunk.
 */
export const cassandraInboxQueries = (database: Database, generation: number): InboxQueries => {
  const tables = tablesOf(generation)
  const selectEntries = `SELECT c, member, follows, read, sent_seq, sent_n, muted FROM ${tables.inboxEntry} WHERE user = ?`
  const selectEntry = `${selectEntries} AND c = ?`
  const selectConversation = `SELECT kind, first, second, title, head, at, n, last_seq, last_m, last_sender, last_at,
    last_text, amended FROM ${tables.inboxConversation} WHERE c = ?`
  const messages = cassandraLastMessages(database, generation)

  const join = async (entry: Row): Promise<Joined | undefined> => {
    if (entry.member !== true && entry.follows !== true) return undefined
    const c = String(entry.c)
    const conversation = await database.one(selectConversation, [c])
    // This view has not applied the creation yet.
    if (conversation === undefined || conversation.kind === null) return undefined
    return { c, at: textOf(conversation.at), entry, conversation }
  }

  return {
    async page(user, { limit, cursor }) {
      const [at, c] = cursor === undefined ? [] : decodeCursor(cursor, 2)
      const place =
        at === undefined || c === undefined ? undefined : ({ at, c } as Pick<Joined, 'at' | 'c'> as Joined)
      let newest: Joined[] = []
      for await (const entries of database.pages(selectEntries, [user], chunkRows)) {
        const joined = (await Promise.all(entries.map(join))).filter(
          (one): one is Joined => one !== undefined && (place === undefined || newestFirst(place, one) < 0),
        )
        newest = [...newest, ...joined].sort(newestFirst).slice(0, limit + 1)
      }
      const page = newest.slice(0, limit)
      const last = page.at(-1)
      return {
        items: await Promise.all(page.map(joined => itemOf(messages, user, joined))),
        ...(newest.length > limit && last !== undefined ? { cursor: encodeCursor([last.at, last.c]) } : {}),
      }
    },
    undelivered: cassandraUndelivered(database, generation),
    async item(user, c) {
      const entry = await database.one(selectEntry, [user, c])
      const joined = entry && (await join(entry))
      return joined && itemOf(messages, user, joined)
    },
  }
}

/**
 * Unread messages are those after the effective read marker, counted by ordinals: the last message's ordinal minus
 * that of the last message at the marker.
 */
const itemOf = async (
  messages: LastMessages,
  user: string,
  { c, at, entry, conversation }: Joined,
): Promise<InboxItem> => {
  const [head, n] = [numberOf(conversation.head), numberOf(conversation.n)]
  const [read, sentSeq] = [numberOf(entry.read), numberOf(entry.sent_seq)]
  const [ordinal, lastMessage] = await Promise.all([
    read <= sentSeq ? numberOf(entry.sent_n) : read >= head ? n : messages.ordinalAt(c, read),
    messages.last(c, conversation),
  ])
  const { first, second } = conversation
  const peer = first === user ? second : first
  return {
    c,
    kind: conversation.kind as Kind,
    title: textOf(conversation.title) || null,
    head,
    lastMessage,
    // The view may be further ahead in the user's log than in the conversation's.
    unread: Math.max(0, n - ordinal),
    read: Math.max(read, sentSeq),
    at,
    muted: entry.muted === true,
    ...(typeof peer === 'string' ? { peer } : {}),
  }
}

/** The messages of a conversation that an inbox needs. */
export interface LastMessages {
  /** Returns the ordinal of the last message at or before `seq`; 0 if there is none. */
  ordinalAt(c: string, seq: number): Promise<number>
  /** Returns the last message that is not deleted, as last edited; `conversation`: its row. */
  last(c: string, conversation: Row): Promise<InboxItem['lastMessage']>
}

/** Number of messages that are read together in the search for one that is not deleted. */
const stride = 20

export const cassandraLastMessages = (database: Database, generation: number): LastMessages => {
  const { inboxMessage, inboxAmendment } = tablesOf(generation)
  const selectOrdinal = `SELECT n FROM ${inboxMessage} WHERE c = ? AND bucket = ? AND seq <= ? LIMIT 1`
  const selectBefore = `SELECT seq, m, sender, at, message FROM ${inboxMessage}
    WHERE c = ? AND bucket = ? AND seq < ? LIMIT ${stride}`
  const selectAmendment = `SELECT message, deleted FROM ${inboxAmendment} WHERE c = ? AND m = ?`

  /** Returns the current message; undefined when it was deleted. */
  const standing = async (
    c: string,
    message: NonNullable<InboxItem['lastMessage']>,
  ): Promise<InboxItem['lastMessage'] | undefined> => {
    const amendment = await database.one(selectAmendment, [c, message.m])
    if (amendment === undefined) return message
    return amendment.deleted === true ? undefined : { ...message, text: textOf(amendment.message) }
  }
  /** Returns the last message before `seq` that is not deleted. */
  const lastBefore = async (c: string, seq: number): Promise<InboxItem['lastMessage']> => {
    let before = seq
    for (let bucket = bucketOf(seq); bucket >= 0; ) {
      const rows = await database.read(selectBefore, [c, bucket, before])
      const found = await Promise.all(
        rows.map(row =>
          standing(c, {
            seq: numberOf(row.seq),
            m: textOf(row.m),
            from: textOf(row.sender),
            at: textOf(row.at),
            text: textOf(row.message),
          }),
        ),
      )
      const last = found.find(message => message !== undefined)
      if (last !== undefined) return last
      if (rows.length < stride) bucket--
      else before = numberOf(rows.at(-1)?.seq)
    }
    return null
  }

  return {
    async ordinalAt(c, seq) {
      // A bucket without messages means a thousand other events in a row.
      for (let bucket = bucketOf(seq); bucket >= 0; bucket--) {
        const row = await database.one(selectOrdinal, [c, bucket, seq])
        if (row !== undefined) return numberOf(row.n)
      }
      return 0
    },
    async last(c, conversation) {
      const seq = numberOf(conversation.last_seq)
      if (seq === 0) return null
      const message = {
        seq,
        m: textOf(conversation.last_m),
        from: textOf(conversation.last_sender),
        at: textOf(conversation.last_at),
        text: textOf(conversation.last_text),
      }
      // A message is amended after it was posted, so usually no look-up is needed.
      if (numberOf(conversation.amended) < seq) return message
      return (await standing(c, message)) ?? lastBefore(c, seq)
    },
  }
}
