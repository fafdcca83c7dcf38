import type { InboxItem, Kind } from '../../events/index.ts'
import { decodeCursor, encodeCursor, type InboxQueries } from '../../projections/index.ts'
import { type Database, numberOf, type Row, textOf } from './database.ts'
import { cassandraUndelivered } from './undelivered.ts'
import { bucketOf, tablesOf } from './view-tables.ts'

/** An entry of a user's list, joined with its conversation. */
interface Joined {
  readonly c: string
  readonly at: string
  /** The time by which the page is ordered: `at`, when the first page was read. */
  readonly place: string
  readonly entry: Row
  readonly conversation: Row
}

/**
 * Number of entries whose conversations are read together. A chunk and a page are all that is held in memory,
 * whatever the length of the list.
 */
const chunkRows = 500

/** Returns the time by which the list is ordered: that of the last message, or of the user's arrival if it is later. */
const listedAt = (lastMessageAt: string, arrived: string): string =>
  arrived > lastMessageAt ? arrived : lastMessageAt

/** Whether a user has hidden a conversation, and neither a message nor an arrival of the user shows it again. */
const isHidden = ({ entry, conversation }: Joined): boolean =>
  Math.max(numberOf(conversation.last_seq), numberOf(entry.sent_seq)) < numberOf(entry.shown_from)

type Place = Pick<Joined, 'place' | 'c'>

const newestFirst = (a: Place, b: Place): number =>
  a.place !== b.place ? (a.place < b.place ? 1 : -1) : a.c < b.c ? -1 : a.c > b.c ? 1 : 0

/**
 * Joins at read time, as on SQLite: a user's entries are one partition, each conversation is one row. A page costs
 * one look-up per conversation of the user, and up to two more per item on the page; see
 * docs/adr/0018-cassandra-tables.md for figures. Memory is a page and a chunk.
 */
export const cassandraInboxQueries = (database: Database, generation: number): InboxQueries => {
  const tables = tablesOf(generation)
  const selectEntries = `SELECT c, member, follows, arrived, read, sent_seq, sent_n, muted, shown_from
    FROM ${tables.inboxEntry} WHERE user = ?`
  const selectEntry = `${selectEntries} AND c = ?`
  const selectConversation = `SELECT kind, first, second, title, head, at, n, last_seq, last_m, last_sender, last_at,
    last_text, amended, archived FROM ${tables.inboxConversation} WHERE c = ?`
  const messages = cassandraLastMessages(database, generation)

  const join = async (entry: Row): Promise<Joined | undefined> => {
    if (entry.member !== true && entry.follows !== true) return undefined
    const c = String(entry.c)
    const conversation = await database.one(selectConversation, [c])
    // This view has not applied the creation yet.
    if (conversation === undefined || conversation.kind === null) return undefined
    const at = listedAt(textOf(conversation.at), textOf(entry.arrived))
    return { c, at, place: at, entry, conversation }
  }
  /** Returns the conversation at its place at the time `since`; undefined when the user did not have it yet. */
  const placedAt = async (joined: Joined, since: string): Promise<Joined | undefined> => {
    if (joined.at <= since) return joined
    const { c, entry, conversation } = joined
    const arrived = textOf(entry.arrived)
    const last = await messages.lastBy(c, numberOf(conversation.last_seq), since)
    if (last.seq < numberOf(entry.shown_from)) return undefined
    const place = listedAt(last.at, arrived <= since ? arrived : '')
    return place === '' ? undefined : { ...joined, place }
  }

  return {
    async page(user, { limit, cursor }) {
      const [place = '', c = '', since] = cursor === undefined ? [] : decodeCursor(cursor, 3)
      const read = async (entry: Row): Promise<Joined | undefined> => {
        const joined = await join(entry)
        if (joined === undefined || isHidden(joined)) return undefined
        return since === undefined ? joined : placedAt(joined, since)
      }
      let newest: Joined[] = []
      for await (const entries of database.pages(selectEntries, [user], chunkRows)) {
        const joined = (await Promise.all(entries.map(read))).filter(
          (one): one is Joined =>
            one !== undefined && (since === undefined || newestFirst({ place, c }, one) < 0),
        )
        newest = [...newest, ...joined].sort(newestFirst).slice(0, limit + 1)
      }
      const page = newest.slice(0, limit)
      const last = page.at(-1)
      const items = await Promise.all(page.map(joined => itemOf(messages, user, joined)))
      const early = items.filter((item, i) => isEarly(user, page[i]!, item)).map(({ c }) => c)
      const marked = early.length === 0 ? { items } : { items, early }
      if (newest.length <= limit || last === undefined) return marked
      return { ...marked, cursor: encodeCursor([last.place, last.c, since ?? page[0]?.at ?? '']) }
    },
    undelivered: cassandraUndelivered(database, generation),
    async item(user, c) {
      const entry = await database.one(selectEntry, [user, c])
      const joined = entry && (await join(entry))
      return joined && itemOf(messages, user, joined)
    },
    async heads(user, conversations) {
      const heads = new Map<string, number>()
      await Promise.all(
        conversations.map(async c => {
          const entry = await database.one(selectEntry, [user, c])
          const joined = entry && (await join(entry))
          if (joined !== undefined) heads.set(c, numberOf(joined.conversation.head))
        }),
      )
      return heads
    },
  }
}

/** Whether the last message may be from before the user joined. Joining counts as reading, like sending. */
const isEarly = (user: string, { entry }: Joined, { lastMessage }: InboxItem): boolean =>
  lastMessage !== null &&
  lastMessage.seq <= numberOf(entry.sent_seq) &&
  (lastMessage.from !== user || textOf(entry.arrived) >= lastMessage.at)

/**
 * Unread messages are those after the effective read marker, counted by ordinals: the last message's ordinal minus
 * that of the last message at the marker, minus the deleted messages after the marker.
 */
const itemOf = async (
  messages: LastMessages,
  user: string,
  { c, at, entry, conversation }: Joined,
): Promise<InboxItem> => {
  const [head, n] = [numberOf(conversation.head), numberOf(conversation.n)]
  const [marked, sentSeq] = [numberOf(entry.read), numberOf(entry.sent_seq)]
  const read = Math.max(marked, sentSeq)
  const [ordinal, lastMessage, deleted] = await Promise.all([
    marked <= sentSeq ? numberOf(entry.sent_n) : marked >= head ? n : messages.ordinalAt(c, marked),
    messages.last(c, conversation),
    // A message is deleted after it was posted.
    numberOf(conversation.amended) > read ? messages.deletedAfter(c, read) : 0,
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
    unread: Math.max(0, n - ordinal - deleted),
    read,
    at,
    muted: entry.muted === true,
    ...(conversation.archived === true ? { archived: true as const } : {}),
    ...(typeof peer === 'string' ? { peer } : {}),
  }
}

/** The messages of a conversation that an inbox needs. */
export interface LastMessages {
  /** Returns the ordinal of the last message at or before `seq`; 0 if there is none. */
  ordinalAt(c: string, seq: number): Promise<number>
  /**
   * Returns the last message at or before `seq` that was posted by this time. Its seq is 0 if there is none, or if it
   * is further back than the time of one page to the next explains.
   */
  lastBy(c: string, seq: number, time: string): Promise<{ readonly seq: number; readonly at: string }>
  /** Returns the number of deleted messages after `seq`. */
  deletedAfter(c: string, seq: number): Promise<number>
  /** Returns the seq of a message that was posted before it was amended; undefined if there is none. */
  seqBefore(amendment: {
    readonly c: string
    readonly m: string
    readonly seq: number
  }): Promise<number | undefined>
  /** Returns the last message that is not deleted, as last edited; `conversation`: its row. */
  last(c: string, conversation: Row): Promise<InboxItem['lastMessage']>
}

/** Number of messages that may be posted to a conversation between two pages of an inbox. */
const mostSince = 1_000

/** Number of messages that are read together in the search for one that is not deleted. */
const stride = 20

export const cassandraLastMessages = (database: Database, generation: number): LastMessages => {
  const { inboxMessage, inboxAmendment, inboxDeletion } = tablesOf(generation)
  const selectOrdinal = `SELECT n FROM ${inboxMessage} WHERE c = ? AND bucket = ? AND seq <= ? LIMIT 1`
  const selectBefore = `SELECT seq, m, sender, at, message FROM ${inboxMessage}
    WHERE c = ? AND bucket = ? AND seq < ? LIMIT ${stride}`
  const selectAmendment = `SELECT message, deleted FROM ${inboxAmendment} WHERE c = ? AND m = ?`

  const countDeleted = `SELECT count(*) AS count FROM ${inboxDeletion} WHERE c = ? AND seq > ?`

  /** Returns the current message; undefined when it was deleted. */
  const standing = async (
    c: string,
    message: NonNullable<InboxItem['lastMessage']>,
  ): Promise<InboxItem['lastMessage'] | undefined> => {
    const amendment = await database.one(selectAmendment, [c, message.m])
    if (amendment === undefined) return message
    return amendment.deleted === true ? undefined : { ...message, text: textOf(amendment.message) }
  }
  /** Yields the messages before `seq`, the last ones first. */
  async function* slicesBefore(c: string, seq: number): AsyncGenerator<readonly Row[]> {
    let before = seq
    for (let bucket = bucketOf(seq); bucket >= 0; ) {
      const rows = await database.read(selectBefore, [c, bucket, before])
      yield rows
      if (rows.length < stride) bucket--
      else before = numberOf(rows.at(-1)?.seq)
    }
  }
  /** Returns the last message before `seq` that is not deleted. */
  const lastBefore = async (c: string, seq: number): Promise<InboxItem['lastMessage']> => {
    for await (const rows of slicesBefore(c, seq)) {
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
    async deletedAfter(c, seq) {
      return numberOf((await database.one(countDeleted, [c, seq]))?.count)
    },
    async seqBefore({ c, m, seq }) {
      for await (const rows of slicesBefore(c, seq)) {
        const found = rows.find(row => row.m === m)
        if (found !== undefined) return numberOf(found.seq)
      }
      return undefined
    },
    async lastBy(c, seq, time) {
      let count = 0
      for await (const rows of slicesBefore(c, seq + 1)) {
        const found = rows.find(row => textOf(row.at) <= time)
        if (found !== undefined) return { seq: numberOf(found.seq), at: textOf(found.at) }
        count += rows.length
        if (count >= mostSince) break
      }
      return { seq: 0, at: '' }
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
