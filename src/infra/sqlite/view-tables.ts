import type { DatabaseSync } from 'node:sqlite'
import type { ProjectionName } from '../../projections/index.ts'

/**
 * Each table belongs to one projection, so that each can be paused, cleared and rebuilt alone, and to one generation;
 * generation 1 has the plain names. Tables with larger rows have a rowid: rows are appended, and only narrow index
 * entries go to scattered pages (measured: half the time of WITHOUT ROWID for the timeline).
 */
const named = (table: string, generation: number): string =>
  generation === 1 ? table : `${table}_${generation}`

/** Returns the table names of a generation. */
export const tablesOf = (generation: number) => ({
  timeline: named('timeline', generation),
  timelineMessage: named('timeline_message', generation),
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
  rosterFollower: named('roster_follower', generation),
  rosterInvited: named('roster_invited', generation),
  searchMessage: named('search_message', generation),
  searchWords: named('search_words', generation),
})

type Tables = ReturnType<typeof tablesOf>

const tablesByProjection: Readonly<Record<ProjectionName, readonly (keyof Tables)[]>> = {
  timeline: ['timeline', 'timelineAmendment', 'timelineMedia'],
  inbox: ['inboxConversation', 'inboxMessage', 'inboxAmendment', 'inboxDeletion', 'inboxEntry'],
  'read-state': ['readState'],
  roster: ['roster'],
  search: ['searchMessage', 'searchWords'],
}

const definitions: Readonly<Record<ProjectionName, (tables: Tables) => string>> = {
  timeline: ({ timeline, timelineMessage }) => `
  CREATE TABLE IF NOT EXISTS ${timeline} (
    c TEXT NOT NULL, seq INTEGER NOT NULL, stream_seq INTEGER NOT NULL,
    m TEXT, -- of the events that post or delete a message
    data BLOB NOT NULL,
    UNIQUE (c, seq)
  ) STRICT;
  CREATE INDEX IF NOT EXISTS ${timelineMessage} ON ${timeline} (c, m, seq) WHERE m IS NOT NULL;
`,
  inbox: ({ inboxConversation, inboxMessage, inboxAmendment, inboxEntry }) => `
  CREATE TABLE IF NOT EXISTS ${inboxConversation} (
    c TEXT NOT NULL PRIMARY KEY,
    kind TEXT, first TEXT, second TEXT, -- the members of a direct one
    title TEXT, title_seq INTEGER NOT NULL DEFAULT 0,
    head INTEGER NOT NULL DEFAULT 0, at TEXT NOT NULL DEFAULT '', n INTEGER NOT NULL DEFAULT 0
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS ${inboxMessage} (
    c TEXT NOT NULL, seq INTEGER NOT NULL, n INTEGER NOT NULL,
    m TEXT NOT NULL, sender TEXT NOT NULL, at TEXT NOT NULL, text TEXT NOT NULL,
    UNIQUE (c, seq)
  ) STRICT;
  CREATE TABLE IF NOT EXISTS ${inboxAmendment} (
    c TEXT NOT NULL, m TEXT NOT NULL, seq INTEGER NOT NULL,
    text TEXT, -- NULL: deleted
    PRIMARY KEY (c, m)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS ${inboxEntry} (
    user TEXT NOT NULL, c TEXT NOT NULL,
    member INTEGER NOT NULL DEFAULT 0, member_seq INTEGER NOT NULL DEFAULT 0,
    read INTEGER NOT NULL DEFAULT 0,
    sent_seq INTEGER NOT NULL DEFAULT 0, sent_n INTEGER NOT NULL DEFAULT 0,
    muted INTEGER NOT NULL DEFAULT 0, muted_seq INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (user, c)
  ) STRICT, WITHOUT ROWID;
`,
  'read-state': ({ readState }) => `
  CREATE TABLE IF NOT EXISTS ${readState} (
    c TEXT NOT NULL, user TEXT NOT NULL,
    read INTEGER NOT NULL DEFAULT 0, delivered INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (c, user)
  ) STRICT, WITHOUT ROWID;
`,
  roster: ({ roster, rosterUser }) => `
  CREATE TABLE IF NOT EXISTS ${roster} (
    c TEXT NOT NULL, user TEXT NOT NULL, seq INTEGER NOT NULL,
    role TEXT, -- NULL: gone; the row stays, so that an older event does not bring the member back
    PRIMARY KEY (c, user)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS ${rosterUser} ON ${roster} (user, c) WHERE role IS NOT NULL;
`,
  // Words are folded and split (search-words.ts). Contentless: search_message has the text. No column sizes, since
  // nothing is ranked. The prefix index of first letters takes "a*" in 800,000 messages from 180 to 1.4 ms; it adds a
  // quarter to the size and hardly to the time.
  search: ({ searchMessage, searchWords }) => `
  CREATE TABLE IF NOT EXISTS ${searchMessage} (
    id INTEGER PRIMARY KEY, -- time and place, see search-index.ts
    c TEXT NOT NULL, m TEXT NOT NULL, seq INTEGER NOT NULL,
    sender TEXT NOT NULL, at TEXT NOT NULL, media INTEGER NOT NULL,
    rev INTEGER NOT NULL, -- seq of the event that gave the text
    text TEXT, -- NULL: deleted
    UNIQUE (c, m)
  ) STRICT;
  CREATE VIRTUAL TABLE IF NOT EXISTS ${searchWords} USING fts5 (
    words, tags, content = '', columnsize = 0, prefix = '1', tokenize = 'ascii'
  );
`,
}

/**
 * Returns the SQL that creates the tables of a generation of a view in their first version; later steps add to them.
 */
export const firstTables = (projection: ProjectionName, generation: number): string =>
  definitions[projection](tablesOf(generation))

/** SQL for a time, ISO 8601, as ms since 1970. */
export const millisecondsOf = (time: string): string =>
  `CAST(round(unixepoch(${time}, 'subsec') * 1000) AS INTEGER)`

/** Later additions, in order; each is a step of the schema. */
const additions: { readonly [P in ProjectionName]?: readonly ((tables: Tables) => string)[] } = {
  // seq: of the message. amended: seq of its last edit or deletion. data: the edit; NULL: deleted. data_seq: seq of the
  // last edit that changed the data of the application; 0: none.
  timeline: [
    ({ timelineAmendment, timelineMedia }) => `
  CREATE TABLE IF NOT EXISTS ${timelineAmendment} (
    c TEXT NOT NULL, seq INTEGER NOT NULL, amended INTEGER NOT NULL, data BLOB,
    data_seq INTEGER NOT NULL, PRIMARY KEY (c, seq)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS ${timelineMedia} (
    c TEXT NOT NULL, media TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (c, media, seq)
  ) STRICT, WITHOUT ROWID;
`,
  ],
  inbox: [
    ({ inboxEntry }) => `
  ALTER TABLE ${inboxEntry} ADD COLUMN delivered INTEGER NOT NULL DEFAULT 0;
`,
    ({ inboxEntry }) => `
  ALTER TABLE ${inboxEntry} ADD COLUMN follows INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE ${inboxEntry} ADD COLUMN follow_seq INTEGER NOT NULL DEFAULT 0;
`,
    // seq in inbox_deletion: of the deleted message. amended: seq of the last edit or deletion. posted: time of the
    // message at last_seq, and arrived: time of the user's last arrival, ms since 1970. Earlier versions wrote `at`.
    ({ inboxConversation, inboxDeletion, inboxEntry }) => `
  CREATE TABLE IF NOT EXISTS ${inboxDeletion} (
    c TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (c, seq)
  ) STRICT, WITHOUT ROWID;
  ALTER TABLE ${inboxConversation} ADD COLUMN last_seq INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE ${inboxConversation} ADD COLUMN posted INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE ${inboxConversation} ADD COLUMN amended INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE ${inboxEntry} ADD COLUMN arrived INTEGER NOT NULL DEFAULT 0;
  UPDATE ${inboxConversation} SET posted = ${millisecondsOf('at')} WHERE at <> '';
`,
    // A hidden conversation is shown from a message, or an arrival of the user, with the seq shown_from on.
    ({ inboxConversation, inboxEntry }) => `
  ALTER TABLE ${inboxConversation} ADD COLUMN archived INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE ${inboxConversation} ADD COLUMN archived_seq INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE ${inboxEntry} ADD COLUMN shown_from INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE ${inboxEntry} ADD COLUMN shown_seq INTEGER NOT NULL DEFAULT 0;
`,
  ],
  roster: [
    ({ roster, rosterFollower }) => `
  ALTER TABLE ${roster} ADD COLUMN follows INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE ${roster} ADD COLUMN follow_seq INTEGER NOT NULL DEFAULT 0;
  CREATE INDEX IF NOT EXISTS ${rosterFollower} ON ${roster} (user, c) WHERE follows = 1;
`,
    ({ roster, rosterInvited }) => `
  ALTER TABLE ${roster} ADD COLUMN invited INTEGER NOT NULL DEFAULT 0;
  CREATE INDEX IF NOT EXISTS ${rosterInvited} ON ${roster} (user, c) WHERE invited = 1;
`,
  ],
}

/** Returns the SQL of one addition to a generation of a view, counted from 0. */
export const addition = (projection: ProjectionName, generation: number, index: number): string =>
  additions[projection]?.[index]?.(tablesOf(generation)) ?? ''

/** Returns the SQL of all additions to the first tables of a view. */
const addedSince = (projection: ProjectionName, generation: number): string =>
  additions[projection]?.map(add => add(tablesOf(generation))).join('') ?? ''

/** Returns the generations of a view that have tables. */
export const generationsIn = (db: DatabaseSync, projection: ProjectionName): number[] => {
  const [first] = tablesByProjection[projection]
  const name = tablesOf(1)[first as keyof Tables]
  const others = db
    .prepare(`SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB ?`)
    .all(`${name}_[0-9]*`)
  return [1, ...others.map(row => Number(String(row.name).slice(name.length + 1)))]
}

/** Returns the SQL that creates the tables of a generation of a view. */
export const createTables = (projection: ProjectionName, generation: number): string =>
  firstTables(projection, generation) + addedSince(projection, generation)

/** Whether a generation of a view has its tables. */
export const hasTables = (db: DatabaseSync, projection: ProjectionName, generation: number): boolean => {
  const [first] = tablesByProjection[projection]
  const name = tablesOf(generation)[first as keyof Tables]
  return db.prepare(`SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?`).get(name) !== undefined
}

/**
 * Drops the tables of a generation of a view. The tables of generation 1 are emptied instead, because the steps of the
 * schema rely on them.
 */
export const dropTables = (db: DatabaseSync, projection: ProjectionName, generation: number): void => {
  const tables = tablesOf(generation)
  for (const key of tablesByProjection[projection])
    if (generation > 1) db.exec(`DROP TABLE IF EXISTS ${tables[key]}`)
    else if (key === 'searchWords')
      db.exec(`INSERT INTO ${tables[key]} (${tables[key]}) VALUES ('delete-all')`)
    else db.exec(`DELETE FROM ${tables[key]}`)
}

/** Rows per read. */
const chunk = 1_000

/**
 * Yields the rows of a table that has a column `c` in batches, ordered by primary key or rowid. Other connections may
 * write in between.
 */
export async function* rowsOf(
  db: DatabaseSync,
  table: string,
  key: readonly string[],
  columns: string,
): AsyncGenerator<readonly { c: string; content: string }[]> {
  const list = key.join(', ')
  const first = db.prepare(`SELECT ${columns} FROM ${table} ORDER BY ${list} LIMIT ${chunk}`)
  const next = db.prepare(
    `SELECT ${columns} FROM ${table} WHERE (${list}) > (${key.map(() => '?').join(', ')}) ORDER BY ${list} LIMIT ${chunk}`,
  )
  let rows = first.all() as Record<string, string | number | null>[]
  while (rows.length > 0) {
    yield rows.map(row => ({
      c: String(row.c),
      content: `${table.replace(/_\d+$/, '')} ${JSON.stringify(row)}`,
    }))
    const last = rows.at(-1) ?? {}
    rows = next.all(...key.map(column => last[column] ?? null)) as typeof rows
  }
}
