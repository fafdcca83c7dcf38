import type { DatabaseSync } from 'node:sqlite'

/**
 * The schema, step by step; `PRAGMA user_version` counts the steps that a database has. A step is never changed once released: rows survive it, and what a
 * projection's new version needs is built again from the log anyway.
 *
 * Tables of a view belong to one projection, so that each can be paused, cleared and built again by itself. Those with rows of some size have a rowid: the row is
 * appended, and only narrow index entries go to scattered pages (half the time of WITHOUT ROWID for the timeline, measured).
 */
const steps: readonly string[] = [
  `
  CREATE TABLE checkpoint (
    projection TEXT NOT NULL, version INTEGER NOT NULL, stream TEXT NOT NULL,
    position INTEGER NOT NULL, dead_letters INTEGER NOT NULL,
    PRIMARY KEY (projection, version, stream)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE timeline (
    c TEXT NOT NULL, seq INTEGER NOT NULL, stream_seq INTEGER NOT NULL,
    m TEXT, -- of the events that post or delete a message
    data BLOB NOT NULL,
    UNIQUE (c, seq)
  ) STRICT;
  CREATE INDEX timeline_message ON timeline (c, m, seq) WHERE m IS NOT NULL;

  CREATE TABLE inbox_conversation (
    c TEXT NOT NULL PRIMARY KEY,
    kind TEXT, first TEXT, second TEXT, -- the members of a direct one
    title TEXT, title_seq INTEGER NOT NULL DEFAULT 0,
    head INTEGER NOT NULL DEFAULT 0, at TEXT NOT NULL DEFAULT '', n INTEGER NOT NULL DEFAULT 0
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE inbox_message (
    c TEXT NOT NULL, seq INTEGER NOT NULL, n INTEGER NOT NULL,
    m TEXT NOT NULL, sender TEXT NOT NULL, at TEXT NOT NULL, text TEXT NOT NULL,
    UNIQUE (c, seq)
  ) STRICT;
  CREATE TABLE inbox_amendment (
    c TEXT NOT NULL, m TEXT NOT NULL, seq INTEGER NOT NULL,
    text TEXT, -- NULL: deleted
    PRIMARY KEY (c, m)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE inbox_entry (
    user TEXT NOT NULL, c TEXT NOT NULL,
    member INTEGER NOT NULL DEFAULT 0, member_seq INTEGER NOT NULL DEFAULT 0,
    read INTEGER NOT NULL DEFAULT 0,
    sent_seq INTEGER NOT NULL DEFAULT 0, sent_n INTEGER NOT NULL DEFAULT 0,
    muted INTEGER NOT NULL DEFAULT 0, muted_seq INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (user, c)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE read_state (
    c TEXT NOT NULL, user TEXT NOT NULL,
    read INTEGER NOT NULL DEFAULT 0, delivered INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (c, user)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE roster (
    c TEXT NOT NULL, user TEXT NOT NULL, seq INTEGER NOT NULL,
    role TEXT, -- NULL: gone; the row stays, so that an older event does not bring the member back
    PRIMARY KEY (c, user)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX roster_user ON roster (user, c) WHERE role IS NOT NULL;

  CREATE TABLE search_message (
    id INTEGER PRIMARY KEY, -- time and place, see search-ids.ts
    c TEXT NOT NULL, m TEXT NOT NULL, seq INTEGER NOT NULL,
    sender TEXT NOT NULL, at TEXT NOT NULL, media INTEGER NOT NULL,
    rev INTEGER NOT NULL, -- seq of the event that gave the text
    text TEXT, -- NULL: deleted
    UNIQUE (c, m)
  ) STRICT;
  -- Words come folded and split (search-words.ts). Contentless: the text is in search_message. No sizes of columns: nothing is ranked. An index of
  -- first letters: without it, "a*" in 800,000 messages takes 180 ms, with it 1.4; it adds a quarter to the size, and hardly to the time.
  CREATE VIRTUAL TABLE search_words USING fts5 (
    words, tags, content = '', columnsize = 0, prefix = '1', tokenize = 'ascii'
  );
  `,
]

/** Thrown when a database was made by a newer build. */
export class NewerDatabaseError extends Error {
  constructor(found: number) {
    super(
      `The views' database has schema ${found}, this build knows ${steps.length}: run the newer build, or remove the file.`,
    )
    this.name = 'NewerDatabaseError'
  }
}

const stepsOf = (db: DatabaseSync): number =>
  Number(db.prepare('PRAGMA user_version').get()?.user_version ?? 0)

/** Whether a database has the current schema. */
export const isCurrent = (db: DatabaseSync): boolean => stepsOf(db) === steps.length

/** Brings a database to the current schema. Safe to run twice, and by two processes at once. */
export const migrate = (db: DatabaseSync): void => {
  if (isCurrent(db)) return
  db.exec('BEGIN IMMEDIATE')
  try {
    const from = stepsOf(db)
    if (from > steps.length) throw new NewerDatabaseError(from)
    for (const step of steps.slice(from)) db.exec(step)
    db.exec(`PRAGMA user_version = ${steps.length}`)
    db.exec('COMMIT')
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK')
    throw error
  }
}
