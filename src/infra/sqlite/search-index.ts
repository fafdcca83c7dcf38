import type { DatabaseSync } from 'node:sqlite'
import {
  ChangeRejectedError,
  type SearchAmended,
  type SearchIndex,
  type SearchPosted,
} from '../../projections/index.ts'
import { indexed } from './indexed-words.ts'
import { idOf } from './search-ids.ts'
import { tagsOf } from './search-tags.ts'
import { coded } from './sqlite-errors.ts'
import { rowsOf, tablesOf } from './view-tables.ts'

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
