import type { DatabaseSync } from 'node:sqlite'
import {
  ChangeRejectedError,
  type SearchChange,
  type SearchIndex,
  type SearchPosted,
} from '../../projections/index.ts'
import { idOf } from './search-ids.ts'
import { tagsOf } from './search-tags.ts'
import { indexed } from './search-words.ts'
import { coded } from './sqlite-errors.ts'

/** What a batch makes of a message. */
interface Outcome {
  posted: SearchPosted | undefined
  rev: number
  text: string | null
}

interface FoundRow {
  id: bigint
  sender: string
  media: bigint
  rev: bigint
  text: string | null
}

/**
 * Messages and their words. A deleted message leaves its row, without text, so that an older event does not bring it back. Words go in by ascending id:
 * FTS5 flushes its memory whenever an id is lower than the one before.
 */
export const sqliteSearchIndex = (db: DatabaseSync): SearchIndex => {
  const insert = db.prepare(`
    INSERT INTO search_message (id, c, m, seq, sender, at, media, rev, text) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO NOTHING`)
  const find = db.prepare('SELECT id, sender, media, rev, text FROM search_message WHERE c = ? AND m = ?')
  find.setReadBigInts(true)
  const update = db.prepare('UPDATE search_message SET rev = ?, text = ? WHERE id = ?')
  const addWords = db.prepare('INSERT INTO search_words (rowid, words, tags) VALUES (?, ?, ?)')
  const removeWords = db.prepare(
    `INSERT INTO search_words (search_words, rowid, words, tags) VALUES ('delete', ?, ?, ?)`,
  )

  const amend = (c: string, row: FoundRow, { rev, text }: Outcome) => {
    if (rev <= row.rev) return
    const tags = tagsOf({ c, sender: row.sender, media: row.media === 1n })
    if (row.text !== null) removeWords.run(row.id, indexed(row.text), tags)
    if (text !== null) addWords.run(row.id, indexed(text), tags)
    update.run(rev, text, row.id)
  }

  const add = (first: bigint, posted: SearchPosted, outcome: Outcome) => {
    const { c, m, seq, from: sender, at, media } = posted
    const { rev, text } = outcome
    for (let id = first; ; id++) {
      if (insert.run(id, c, m, seq, sender, at, media ? 1 : 0, rev, text).changes === 1) {
        if (text !== null) addWords.run(id, indexed(text), tagsOf({ c, sender, media }))
        return
      }
      const row = find.get(c, m) as FoundRow | undefined
      if (row !== undefined) return amend(c, row, outcome)
      // The id is another message's, of the same millisecond.
    }
  }

  return {
    apply: async changes =>
      coded(() => {
        const amended: { c: string; row: FoundRow; outcome: Outcome }[] = []
        const added: { id: bigint; posted: SearchPosted; outcome: Outcome }[] = []
        for (const [key, outcome] of outcomesOf(changes)) {
          const { posted } = outcome
          if (posted !== undefined) {
            added.push({ id: timed(posted), posted, outcome })
          } else {
            const [c = '', m = ''] = key.split(' ')
            const row = find.get(c, m) as FoundRow | undefined
            // Without a row, the message itself became a dead letter.
            if (row !== undefined) amended.push({ c, row, outcome })
          }
        }
        amended.sort((a, b) => compare(a.row.id, b.row.id))
        for (const { c, row, outcome } of amended) amend(c, row, outcome)
        added.sort((a, b) => compare(a.id, b.id))
        for (const { id, posted, outcome } of added) add(id, posted, outcome)
      }),
    clear: async () =>
      coded(() =>
        db.exec(`DELETE FROM search_message; INSERT INTO search_words (search_words) VALUES ('delete-all')`),
      ),
  }
}

const compare = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0)

const timed = (posted: SearchPosted): bigint => {
  try {
    return idOf(posted.at, posted.streamSeq)
  } catch (error) {
    throw new ChangeRejectedError((error as Error).message, error)
  }
}

/** The last state of each message, by `c m`; a batch may post, edit and delete the same one. */
const outcomesOf = (changes: readonly SearchChange[]): Map<string, Outcome> => {
  const outcomes = new Map<string, Outcome>()
  for (const change of changes) {
    const { c, m, seq, text } = change
    const posted = change.kind === 'posted' ? change : undefined
    const outcome = outcomes.get(`${c} ${m}`)
    if (outcome === undefined) {
      outcomes.set(`${c} ${m}`, { posted, rev: seq, text })
      continue
    }
    outcome.posted ??= posted
    if (seq > outcome.rev) {
      outcome.rev = seq
      outcome.text = text
    }
  }
  return outcomes
}
