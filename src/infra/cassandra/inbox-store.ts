import type {
  ActivityChange,
  AmendmentChange,
  ArchivedChange,
  CreatedChange,
  DeliveredMarkChange,
  FollowsChange,
  HideChange,
  InboxChange,
  InboxStore,
  MembershipChange,
  MessageChange,
  MuteChange,
  ReadMarkChange,
  TitleChange,
} from '../../projections/index.ts'
import type { Database, Write } from './database.ts'
import { allRows, emptyTables } from './generations.ts'
import { cassandraLastMessages } from './inbox-queries.ts'
import { bucketOf, tablesOf } from './view-tables.ts'

/**
 * Writes one row per conversation with its last message, one per list entry and one per message: the cost of a
 * message does not depend on the number of members. Rows are updated in place, guarded by their sequence number;
 * nothing is deleted.
 */
export const cassandraInboxStore = (database: Database, generation: number): InboxStore => {
  const tables = tablesOf(generation)
  const queries = queriesOf(tables)
  const messages = cassandraLastMessages(database, generation)
  return {
    async apply(changes: readonly InboxChange[]) {
      const batch = new InboxBatch()
      for (const change of changes) batch.add(change)
      const deletions = await Promise.all(
        [...batch.deletions.values()].map(async deletion => ({
          c: deletion.c,
          seq: deletion.messageSeq ?? batch.seqOf(deletion) ?? (await messages.seqBefore(deletion)),
        })),
      )
      // Heads are written last: a head that mentions an amended message makes readers look it up.
      await database.write([
        ...messageWrites(queries, batch),
        ...deletionWrites(queries, deletions),
        ...entryWrites(queries, batch),
      ])
      await database.write(conversationWrites(queries, batch))
    },
    clear: () => emptyTables(database, 'inbox', generation),
    rows: () =>
      allRows(database, [
        {
          name: tables.inboxConversation,
          columns:
            'c, kind, first, second, title, head, at, n, last_seq, last_m, last_sender, last_at, last_text, amended, archived',
        },
        { name: tables.inboxMessage, columns: 'c, seq, n, m, sender, at, message' },
        { name: tables.inboxAmendment, columns: 'c, m, message, deleted' },
        { name: tables.inboxDeletion, columns: 'c, seq' },
        {
          name: tables.inboxEntry,
          columns: 'user, c, member, read, delivered, sent_seq, sent_n, muted, follows, arrived, shown_from',
        },
      ]),
  }
}

const queriesOf = (tables: ReturnType<typeof tablesOf>) => {
  const conversation = (columns: string) =>
    `UPDATE ${tables.inboxConversation} USING TIMESTAMP ? SET ${columns} WHERE c = ?`
  const entry = (columns: string) =>
    `UPDATE ${tables.inboxEntry} USING TIMESTAMP ? SET ${columns} WHERE user = ? AND c = ?`
  return {
    head: conversation('head = ?, n = ?'),
    last: conversation('at = ?, last_seq = ?, last_m = ?, last_sender = ?, last_at = ?, last_text = ?'),
    amended: conversation('amended = ?'),
    kind: conversation('kind = ?'),
    pair: conversation('first = ?, second = ?'),
    title: conversation('title = ?'),
    archived: conversation('archived = ?'),
    message: `INSERT INTO ${tables.inboxMessage} (c, bucket, seq, n, m, sender, at, message)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?`,
    amendment: `UPDATE ${tables.inboxAmendment} USING TIMESTAMP ? SET message = ?, deleted = ? WHERE c = ? AND m = ?`,
    deletion: `INSERT INTO ${tables.inboxDeletion} (c, seq) VALUES (?, ?) USING TIMESTAMP ?`,
    member: entry('member = ?'),
    sent: entry('sent_seq = ?, sent_n = ?'),
    read: entry('read = ?'),
    delivered: entry('delivered = ?'),
    muted: entry('muted = ?'),
    shownFrom: entry('shown_from = ?'),
    arrived: entry('arrived = ?'),
    follows: entry('follows = ?'),
  }
}

type Queries = ReturnType<typeof queriesOf>

/** Timestamp of columns that never change: that of the first event. */
const firstStamp = 1

const messageWrites = (queries: Queries, batch: InboxBatch): Write[] => [
  ...batch.messages.map(({ c, seq, n, m, from, at, text }) => {
    const bucket = bucketOf(seq)
    return {
      query: queries.message,
      params: [c, bucket, seq, n, m, from, at, text, firstStamp],
      partition: `m ${bucket} ${c}`,
    }
  }),
  ...[...batch.amendments.values()].map(({ c, m, seq, text }) => ({
    query: queries.amendment,
    params: [seq, text ?? '', text === null, c, m],
    partition: `a ${c} ${m}`,
  })),
]

/** A deleted message that is not found does not count: it was a dead letter. */
const deletionWrites = (
  queries: Queries,
  deletions: readonly { readonly c: string; readonly seq: number | undefined }[],
): Write[] =>
  deletions.flatMap(({ c, seq }) =>
    seq === undefined ? [] : [{ query: queries.deletion, params: [c, seq, firstStamp], partition: `d ${c}` }],
  )

const entryWrites = (queries: Queries, batch: InboxBatch): Write[] => {
  const write = (query: string, user: string, c: string, stamp: number, ...values: unknown[]): Write => ({
    query,
    params: [stamp, ...values, user, c],
    partition: `e ${user}`,
  })
  return [
    ...[...batch.members.values()].map(({ user, c, seq, member }) =>
      write(queries.member, user, c, seq, member),
    ),
    // Two logs have arrivals: the time is the timestamp, so that the last one stays.
    ...batch.arrivals.map(({ user, c, at }) => write(queries.arrived, user, c, Date.parse(at), at)),
    ...[...batch.sent.values()].map(({ user, c, seq, n }) => write(queries.sent, user, c, seq, seq, n)),
    ...[...batch.reads.values()].map(({ user, c, mark }) => write(queries.read, user, c, mark, mark)),
    ...[...batch.deliveries.values()].map(({ user, c, mark }) =>
      write(queries.delivered, user, c, mark, mark),
    ),
    ...[...batch.mutes.values()].map(({ user, c, seq, muted }) => write(queries.muted, user, c, seq, muted)),
    ...[...batch.hides.values()].map(({ user, c, seq, shownFrom }) =>
      write(queries.shownFrom, user, c, seq, shownFrom),
    ),
    ...[...batch.follows.values()].map(({ user, c, seq, follows }) =>
      write(queries.follows, user, c, seq, follows),
    ),
  ]
}

const conversationWrites = (queries: Queries, batch: InboxBatch): Write[] => {
  const write = (query: string, c: string, stamp: number, ...values: unknown[]): Write => ({
    query,
    params: [stamp, ...values, c],
    partition: c,
  })
  return [
    ...[...batch.heads.values()].map(({ c, seq, n }) => write(queries.head, c, seq, seq, n)),
    ...[...batch.lasts.values()].map(({ c, seq, m, from, at, text }) =>
      write(queries.last, c, seq, at, seq, m, from, at, text),
    ),
    ...[...batch.amended].map(([c, seq]) => write(queries.amended, c, seq, seq)),
    ...batch.created.flatMap(({ c, as, pair }) => [
      write(queries.kind, c, firstStamp, as),
      ...(pair === undefined ? [] : [write(queries.pair, c, firstStamp, ...pair)]),
    ]),
    ...[...batch.archived.values()].map(({ c, seq, archived }) => write(queries.archived, c, seq, archived)),
    // An empty title means none.
    ...[...batch.titles.values()].map(({ c, seq, title }) => write(queries.title, c, seq, title ?? '')),
  ]
}

/** The read marker that follows from a user's own messages or from joining. */
interface Sent {
  readonly user: string
  readonly c: string
  readonly seq: number
  readonly n: number
}

const keepNewest = <T extends { readonly seq: number }>(in_: Map<string, T>, key: string, one: T): void => {
  const other = in_.get(key)
  if (other === undefined || one.seq > other.seq) in_.set(key, one)
}

const keepGreatest = <T extends { readonly mark: number }>(
  in_: Map<string, T>,
  key: string,
  one: T,
): void => {
  const other = in_.get(key)
  if (other === undefined || one.mark > other.mark) in_.set(key, one)
}

/** The changes of a batch, reduced to the last state of each row: a hot row is written once. */
export class InboxBatch {
  readonly heads = new Map<string, ActivityChange | MessageChange>()
  readonly lasts = new Map<string, MessageChange>()
  readonly amended = new Map<string, number>()
  readonly messages: MessageChange[] = []
  readonly amendments = new Map<string, AmendmentChange>()
  /** The deletions among the amendments: a later repetition of an edit does not undo them. */
  readonly deletions = new Map<string, AmendmentChange>()
  readonly created: CreatedChange[] = []
  readonly titles = new Map<string, TitleChange>()
  readonly members = new Map<string, MembershipChange>()
  readonly sent = new Map<string, Sent>()
  readonly reads = new Map<string, ReadMarkChange>()
  readonly deliveries = new Map<string, DeliveredMarkChange>()
  readonly mutes = new Map<string, MuteChange>()
  readonly hides = new Map<string, HideChange>()
  readonly archived = new Map<string, ArchivedChange>()
  readonly follows = new Map<string, FollowsChange>()
  readonly arrivals: (MembershipChange | FollowsChange)[] = []

  /** Returns the seq of an amended message if the batch has the message. */
  seqOf({ c, m }: AmendmentChange): number | undefined {
    return this.messages.find(message => message.m === m && message.c === c)?.seq
  }

  add(change: InboxChange): void {
    const { c } = change
    switch (change.kind) {
      case 'activity':
        keepNewest(this.heads, c, change)
        break
      case 'message': {
        const { from: user, seq, n } = change
        this.messages.push(change)
        keepNewest(this.heads, c, change)
        keepNewest(this.lasts, c, change)
        keepNewest(this.sent, `${user} ${c}`, { user, c, seq, n })
        break
      }
      case 'amendment':
        keepNewest(this.amendments, `${c} ${change.m}`, change)
        if (change.text === null) this.deletions.set(`${c} ${change.m}`, change)
        this.amended.set(c, Math.max(change.seq, this.amended.get(c) ?? 0))
        break
      case 'created':
        this.created.push(change)
        break
      case 'title':
        keepNewest(this.titles, c, change)
        break
      case 'membership':
        keepNewest(this.members, `${change.user} ${c}`, change)
        if (change.member) this.arrivals.push(change)
        break
      case 'came':
        keepNewest(this.sent, `${change.user} ${c}`, change)
        break
      case 'read':
        keepGreatest(this.reads, `${change.user} ${c}`, change)
        break
      case 'delivered':
        keepGreatest(this.deliveries, `${change.user} ${c}`, change)
        break
      case 'mute':
        keepNewest(this.mutes, `${change.user} ${c}`, change)
        break
      case 'hide':
        keepNewest(this.hides, `${change.user} ${c}`, change)
        break
      case 'archived':
        keepNewest(this.archived, c, change)
        break
      case 'follows':
        keepNewest(this.follows, `${change.user} ${c}`, change)
        if (change.follows) this.arrivals.push(change)
    }
  }
}
