import type { DatabaseSync } from 'node:sqlite'
import { fnv1a32 } from '../../events/index.ts'
import {
  ChangeRejectedError,
  isAscii,
  type SearchAmended,
  type SearchIndex,
  type SearchPosted,
  wordsOf,
} from '../../projections/index.ts'
import { coded } from './database.ts'
import { rowsOf, tablesOf } from './view-tables.ts'

/**
 * Returns the indexed form of a text for FTS5's `ascii` tokenizer, which splits ASCII as `wordsOf` does and leaves
 * everything else unchanged. Plain ASCII text is passed through.
 */
export const indexed = (text: string): string =>
  isAscii(text)
    ? text
    : wordsOf(text)
        .map(({ folded }) => folded)
        .join(' ')

/**
 * The ids of messages in the index: time in ms, then 20 bits of the stream sequence. The index's own order is then by
 * time: the newest hits are found without a sort, and a time range is a range of ids. Times outside 1970 to 2248 are
 * clamped.
 */
const placeBits = 20n
const latestMs = 2 ** 43 - 1

/** Returns the first id of a time, ms since 1970. */
export const firstIdAt = (ms: number): bigint =>
  BigInt(Math.ceil(Math.min(Math.max(ms, 0), latestMs))) << placeBits

/** Throws RangeError for an invalid time. */
export const idOf = (at: string, streamSeq: number): bigint => {
  const ms = Date.parse(at)
  if (Number.isNaN(ms)) throw new RangeError(`${at} is not a time`)
  return firstIdAt(ms) | BigInt(streamSeq & 0xfffff)
}

/**
 * Filters as words of the index, so FTS5 applies them during the walk instead of looking up every hit. Tags are
 * hashes: two ids may share one, so each hit is checked against its row.
 */
export const conversationTag = (c: string): string => `c${fnv1a32(c).toString(36)}`
export const senderTag = (user: string): string => `u${fnv1a32(user).toString(36)}`
export const mediaTag = 'media'

export const tagsOf = (message: { c: string; sender: string; media: boolean }): string =>
  `${conversationTag(message.c)} ${senderTag(message.sender)}${message.media ? ` ${mediaTag}` : ''}`

interface FoundRow {
  id: bigint
  sender: string
  media: bigint
  rev: bigint
  text: string | null
}

/**
 * Stores messages and their words. A deleted message keeps its row without text, so an older event cannot bring it
 * back. Words are inserted by ascending id: FTS5 flushes its memory whenever an id is lower than the previous one.
 */
export const sqliteSearchIndex = (db: DatabaseSync, generation: number): SearchIndex => {
  const { searchMessage, searchWords } = tablesOf(generation)
  const insert = db.prepare(`
    INSERT INTO ${searchMessage} (id, c, m, seq, sender, at, media, rev, text) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO NOTHING`)
  const find = db.prepare(`SELECT id, sender, media, rev, text FROM ${searchMessage} WHERE c = ? AND m = ?`)
  find.setReadBigInts(true)
  const update = db.prepare(`UPDATE ${searchMessage} SET rev = ?, text = ? WHERE id = ?`)
  const addWords = db.prepare(`INSERT INTO ${searchWords} (rowid, words, tags) VALUES (?, ?, ?)`)
  const removeWords = db.prepare(
    `INSERT INTO ${searchWords} (${searchWords}, rowid, words, tags) VALUES ('delete', ?, ?, ?)`,
  )

  const amend = (c: string, row: FoundRow, rev: number, text: string | null) => {
    if (rev <= row.rev) return
    const tags = tagsOf({ c, sender: row.sender, media: row.media === 1n })
    if (row.text !== null) removeWords.run(row.id, indexed(row.text), tags)
    if (text !== null) addWords.run(row.id, indexed(text), tags)
    update.run(rev, text, row.id)
  }

  const add = (first: bigint, { c, m, seq, from: sender, at, media, text }: SearchPosted) => {
    for (let id = first; ; id++) {
      if (insert.run(id, c, m, seq, sender, at, media ? 1 : 0, seq, text).changes === 1) {
        addWords.run(id, indexed(text), tagsOf({ c, sender, media }))
        return
      }
      const row = find.get(c, m) as FoundRow | undefined
      if (row !== undefined) return amend(c, row, seq, text)
      // The id belongs to another message of the same millisecond.
    }
  }

  return {
    apply: async changes =>
      coded(() => {
        const added: { id: bigint; posted: SearchPosted }[] = []
        for (const change of changes)
          if (change.kind === 'posted') added.push({ id: timed(change), posted: change })
        for (const { id, posted } of added.sort(byId)) add(id, posted)
        // A message that became a dead letter has nothing to amend.
        const amended: { id: bigint; change: SearchAmended }[] = []
        for (const change of changes) {
          if (change.kind === 'posted') continue
          const row = find.get(change.c, change.m) as FoundRow | undefined
          if (row !== undefined) amended.push({ id: row.id, change })
        }
        for (const { change } of amended.sort(byId)) {
          const { c, m, seq, text } = change
          amend(c, find.get(c, m) as unknown as FoundRow, seq, text)
        }
      }),
    clear: async () =>
      coded(() =>
        db.exec(
          `DELETE FROM ${searchMessage}; INSERT INTO ${searchWords} (${searchWords}) VALUES ('delete-all')`,
        ),
      ),
    // Without the id: for two messages of one millisecond it depends on the batches.
    rows: () => rowsOf(db, searchMessage, ['c', 'm'], 'c, m, seq, sender, at, media, rev, text'),
  }
}

const byId = (a: { id: bigint }, b: { id: bigint }): number => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)

const timed = (posted: SearchPosted): bigint => {
  try {
    return idOf(posted.at, posted.streamSeq)
  } catch (error) {
    throw new ChangeRejectedError((error as Error).message, error)
  }
}
