import type { InboxItem } from '../../events/index.ts'
import { type Database, numberOf, type Row, textOf } from './database.ts'
import { bucketOf, tablesOf } from './view-tables.ts'

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
