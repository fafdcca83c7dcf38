import type { ProjectionName } from '../../projections/index.ts'

/** The views that Cassandra stores; the search is stored elsewhere. */
export const cassandraProjections = [
  'timeline',
  'inbox',
  'read-state',
  'roster',
] as const satisfies ProjectionName[]
export type CassandraProjection = (typeof cassandraProjections)[number]

/**
 * Sequence numbers per partition of a timeline or of an inbox's messages: a third of a megabyte with usual messages,
 * 64 MB if every message had the maximum size. Part of the table layout: a change requires a rebuild.
 */
export const bucketSize = 1_000

export const bucketOf = (seq: number): number => Math.floor(seq / bucketSize)

const named = (table: string, generation: number): string =>
  generation === 1 ? table : `${table}_${generation}`

/** Returns the table names of a generation; generation 1 has the plain names. */
export const tablesOf = (generation: number) => ({
  timeline: named('timeline', generation),
  timelineMessage: named('timeline_message', generation),
  timelineHead: named('timeline_head', generation),
  timelineAmendment: named('timeline_amendment', generation),
  timelineMedia: named('timeline_media', generation),
  inboxConversation: named('inbox_conversation', generation),
  inboxMessage: named('inbox_message', generation),
  inboxAmendment: named('inbox_amendment', generation),
  inboxDeletion: named('inbox_deletion', generation),
  inboxEntry: named('inbox_entry', generation),
  readState: named('read_state', generation),
  roster: named('roster', generation),
  rosterUser: named('roster_user', generation),
})

type Table = keyof ReturnType<typeof tablesOf>

const tablesByProjection: Readonly<Record<CassandraProjection, readonly Table[]>> = {
  timeline: ['timeline', 'timelineMessage', 'timelineHead', 'timelineAmendment', 'timelineMedia'],
  inbox: ['inboxConversation', 'inboxMessage', 'inboxAmendment', 'inboxDeletion', 'inboxEntry'],
  'read-state': ['readState'],
  roster: ['roster', 'rosterUser'],
}

const columns: Readonly<Record<Table, string>> = {
  timeline: 'c text, bucket int, seq bigint, stream_seq bigint, data blob, PRIMARY KEY ((c, bucket), seq)',
  timelineMessage: 'c text, m text, seq bigint, PRIMARY KEY ((c, m), seq)',
  timelineHead: 'c text PRIMARY KEY, seq bigint, stream_seq bigint',
  // seq: of the message. amended: seq of its last edit or deletion. data: the edit; empty: deleted. data_seq: seq of
  // the last edit that changed the data of the application.
  timelineAmendment: `c text, bucket int, seq bigint, amended bigint, data blob, data_seq bigint,
    PRIMARY KEY ((c, bucket), seq)`,
  timelineMedia: 'c text, media text, seq bigint, PRIMARY KEY ((c, media), seq)',
  // A conversation with its last message. at: time of the last message. amended: seq of the last edit or deletion.
  inboxConversation: `c text PRIMARY KEY, kind text, first text, second text, title text, head bigint, at text, n int,
    last_seq bigint, last_m text, last_sender text, last_at text, last_text text, amended bigint,
    archived boolean`,
  inboxMessage: `c text, bucket int, seq bigint, n int, m text, sender text, at text, message text,
    PRIMARY KEY ((c, bucket), seq)`,
  inboxAmendment: 'c text, m text, message text, deleted boolean, PRIMARY KEY ((c, m))',
  // shown_from: a hidden conversation is shown from a message, or an arrival of the user, with this seq on.
  // seq: of the deleted message.
  inboxDeletion: 'c text, seq bigint, PRIMARY KEY ((c), seq)',
  inboxEntry: `user text, c text, member boolean, read bigint, delivered bigint, sent_seq bigint, sent_n int, muted boolean,
    follows boolean, arrived text, shown_from bigint,
    PRIMARY KEY ((user), c)`,
  readState: 'c text, user text, read bigint, delivered bigint, PRIMARY KEY ((c), user)',
  // role '': former member. The row stays, so an older event cannot bring the member back.
  roster: 'c text, user text, role text, follows boolean, PRIMARY KEY ((c), user)',
  rosterUser: 'user text, c text, member boolean, follows boolean, invited boolean, PRIMARY KEY ((user), c)',
}

/** Tables that are read newest first are stored in that order. */
const options: Partial<Record<Table, string>> = {
  inboxMessage: 'CLUSTERING ORDER BY (seq DESC)',
}

export const isCassandraProjection = (projection: ProjectionName): projection is CassandraProjection =>
  projection in tablesByProjection

/** Returns the tables of a generation of a view with the CQL that creates them. */
export const viewTables = (
  projection: CassandraProjection,
  generation: number,
): { readonly name: string; readonly create: string }[] => {
  const names = tablesOf(generation)
  return tablesByProjection[projection].map(table => {
    const name = names[table]
    const option = options[table]
    const create = `CREATE TABLE IF NOT EXISTS ${name} (${columns[table]})`
    return { name, create: option === undefined ? create : `${create} WITH ${option}` }
  })
}
