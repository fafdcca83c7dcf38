import type { DatabaseSync } from 'node:sqlite'
import type {
  ActivityChange,
  AmendmentChange,
  InboxChange,
  InboxStore,
  MessageChange,
  ViewRow,
} from '../../projections/index.ts'
import { coded } from './database.ts'
import { rowsOf, tablesOf } from './view-tables.ts'

/**
 * Writes one head per conversation, one entry per member and one row per message: three rows per message, however
 * many members read it. Heads and senders' markers are written once per batch, in their last state.
 */
export const sqliteInboxStore = (db: DatabaseSync, generation: number): InboxStore => {
  const tables = tablesOf(generation)
  const statements = prepare(db, tables)
  return {
    apply: async changes => coded(() => applyAll(statements, changes)),
    clear: async () =>
      coded(() => {
        for (const { table } of keys(tables)) db.exec(`DELETE FROM ${table}`)
      }),
    rows: () => allRows(db, tables),
  }
}

const keys = (tables: ReturnType<typeof tablesOf>) => [
  { table: tables.inboxConversation, key: ['c'] },
  { table: tables.inboxMessage, key: ['c', 'seq'] },
  { table: tables.inboxAmendment, key: ['c', 'm'] },
  { table: tables.inboxDeletion, key: ['c', 'seq'] },
  { table: tables.inboxEntry, key: ['user', 'c'] },
]

async function* allRows(
  db: DatabaseSync,
  tables: ReturnType<typeof tablesOf>,
): AsyncGenerator<readonly ViewRow[]> {
  for (const { table, key } of keys(tables)) yield* rowsOf(db, table, key, '*')
}

const prepare = (db: DatabaseSync, tables: ReturnType<typeof tablesOf>) => ({
  activity: db.prepare(`
    INSERT INTO ${tables.inboxConversation} (c, head, n) VALUES (?, ?, ?)
    ON CONFLICT DO UPDATE SET head = excluded.head, n = excluded.n WHERE excluded.head > head`),
  // Activity by a message.
  posted: db.prepare(`
    INSERT INTO ${tables.inboxConversation} (c, head, n, last_seq, posted) VALUES (?1, ?2, ?3, ?2, ?4)
    ON CONFLICT DO UPDATE SET head = iif(excluded.head > head, excluded.head, head),
      n = iif(excluded.head > head, excluded.n, n), last_seq = excluded.last_seq, posted = excluded.posted
    WHERE excluded.last_seq > last_seq`),
  created: db.prepare(`
    INSERT INTO ${tables.inboxConversation} (c, kind, first, second) VALUES (?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET kind = excluded.kind, first = excluded.first, second = excluded.second`),
  title: db.prepare(`
    INSERT INTO ${tables.inboxConversation} (c, title, title_seq) VALUES (?, ?, ?)
    ON CONFLICT DO UPDATE SET title = excluded.title, title_seq = excluded.title_seq
    WHERE excluded.title_seq > title_seq`),
  message: db.prepare(`
    INSERT INTO ${tables.inboxMessage} (c, seq, n, m, sender, at, text) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`),
  amendment: db.prepare(`
    INSERT INTO ${tables.inboxAmendment} (c, m, seq, text) VALUES (?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET seq = excluded.seq, text = excluded.text WHERE excluded.seq > seq`),
  amended: db.prepare(`
    INSERT INTO ${tables.inboxConversation} (c, amended) VALUES (?, ?)
    ON CONFLICT DO UPDATE SET amended = excluded.amended WHERE excluded.amended > amended`),
  deletion: db.prepare(`INSERT INTO ${tables.inboxDeletion} (c, seq) VALUES (?, ?) ON CONFLICT DO NOTHING`),
  // Backwards from the deletion: users delete recent messages, and only deletions of older versions need it.
  messageBefore: db.prepare(
    `SELECT seq FROM ${tables.inboxMessage} WHERE c = ? AND seq < ? AND m = ? ORDER BY seq DESC LIMIT 1`,
  ),
  // The read marker that follows from the user's own last message, or from joining.
  sent: db.prepare(`
    INSERT INTO ${tables.inboxEntry} (user, c, sent_seq, sent_n) VALUES (?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET sent_seq = excluded.sent_seq, sent_n = excluded.sent_n
    WHERE excluded.sent_seq > sent_seq`),
  membership: db.prepare(`
    INSERT INTO ${tables.inboxEntry} (user, c, member, member_seq, arrived) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET member = excluded.member, member_seq = excluded.member_seq,
      arrived = iif(excluded.arrived > arrived, excluded.arrived, arrived)
    WHERE excluded.member_seq > member_seq`),
  read: db.prepare(`
    INSERT INTO ${tables.inboxEntry} (user, c, read) VALUES (?, ?, ?)
    ON CONFLICT DO UPDATE SET read = excluded.read WHERE excluded.read > read`),
  delivered: db.prepare(`
    INSERT INTO ${tables.inboxEntry} (user, c, delivered) VALUES (?, ?, ?)
    ON CONFLICT DO UPDATE SET delivered = excluded.delivered WHERE excluded.delivered > delivered`),
  mute: db.prepare(`
    INSERT INTO ${tables.inboxEntry} (user, c, muted, muted_seq) VALUES (?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET muted = excluded.muted, muted_seq = excluded.muted_seq
    WHERE excluded.muted_seq > muted_seq`),
  hide: db.prepare(`
    INSERT INTO ${tables.inboxEntry} (user, c, shown_from, shown_seq) VALUES (?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET shown_from = excluded.shown_from, shown_seq = excluded.shown_seq
    WHERE excluded.shown_seq > shown_seq`),
  archived: db.prepare(`
    INSERT INTO ${tables.inboxConversation} (c, archived, archived_seq) VALUES (?, ?, ?)
    ON CONFLICT DO UPDATE SET archived = excluded.archived, archived_seq = excluded.archived_seq
    WHERE excluded.archived_seq > archived_seq`),
  follows: db.prepare(`
    INSERT INTO ${tables.inboxEntry} (user, c, follows, follow_seq, arrived) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET follows = excluded.follows, follow_seq = excluded.follow_seq,
      arrived = iif(excluded.arrived > arrived, excluded.arrived, arrived)
    WHERE excluded.follow_seq > follow_seq`),
})

/** Changes a message. A deletion is recorded by the seq of its message: unread messages are counted without it. */
const amend = (
  statements: ReturnType<typeof prepare>,
  { c, m, seq, text, messageSeq }: AmendmentChange,
): void => {
  statements.amendment.run(c, m, seq, text)
  statements.amended.run(c, seq)
  if (text !== null) return
  const found = messageSeq ?? Number(statements.messageBefore.get(c, seq, m)?.seq ?? 0)
  if (found > 0) statements.deletion.run(c, found)
}

const applyAll = (statements: ReturnType<typeof prepare>, changes: readonly InboxChange[]): void => {
  const heads = new Map<string, ActivityChange | MessageChange>()
  /** The last messages of conversations in which another event is the last one. */
  const lasts = new Map<string, MessageChange>()
  const senders = new Map<string, MessageChange>()
  const active = (change: ActivityChange | MessageChange) => {
    const { c } = change
    const head = heads.get(c)
    if (head !== undefined && head.seq >= change.seq) return
    if (head?.kind === 'message') lasts.set(c, head)
    heads.set(c, change)
  }
  for (const change of changes) {
    switch (change.kind) {
      case 'activity':
        active(change)
        break
      case 'message': {
        active(change)
        const { c, seq, n, m, from, at, text } = change
        statements.message.run(c, seq, n, m, from, at, text)
        const key = `${from} ${c}`
        const sent = senders.get(key)
        if (sent === undefined || seq > sent.seq) senders.set(key, change)
        break
      }
      case 'amendment':
        amend(statements, change)
        break
      case 'created':
        statements.created.run(change.c, change.as, change.pair?.[0] ?? null, change.pair?.[1] ?? null)
        break
      case 'title':
        statements.title.run(change.c, change.title, change.seq)
        break
      case 'membership':
        statements.membership.run(
          change.user,
          change.c,
          change.member ? 1 : 0,
          change.seq,
          change.member ? Date.parse(change.at) : 0,
        )
        break
      case 'came':
        statements.sent.run(change.user, change.c, change.seq, change.n)
        break
      case 'read':
        statements.read.run(change.user, change.c, change.mark)
        break
      case 'delivered':
        statements.delivered.run(change.user, change.c, change.mark)
        break
      case 'mute':
        statements.mute.run(change.user, change.c, change.muted ? 1 : 0, change.seq)
        break
      case 'hide':
        statements.hide.run(change.user, change.c, change.shownFrom, change.seq)
        break
      case 'archived':
        statements.archived.run(change.c, change.archived ? 1 : 0, change.seq)
        break
      case 'follows':
        statements.follows.run(
          change.user,
          change.c,
          change.follows ? 1 : 0,
          change.seq,
          change.follows ? Date.parse(change.at) : 0,
        )
    }
  }
  const posted = ({ c, seq, n, at }: MessageChange) => statements.posted.run(c, seq, n, Date.parse(at))
  for (const last of lasts.values()) posted(last)
  for (const head of heads.values())
    if (head.kind === 'message') posted(head)
    else statements.activity.run(head.c, head.seq, head.n)
  for (const { c, seq, n, from } of senders.values()) statements.sent.run(from, c, seq, n)
}
