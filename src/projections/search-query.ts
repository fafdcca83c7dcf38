import { ConfabError, Limits } from '../events/index.ts'

/** A part of a query that a text must hold: the words of `text`, one after the other. */
export interface SearchClause {
  readonly text: string
  /** The last word may go on. */
  readonly prefix: boolean
}

/**
 * A query as people write it: words, "phrases", prefix*; a text must hold all of them. Every other character is searched for or ignored, as the index does
 * with it in texts; a quote that is not closed goes to the end. So every query has a meaning, if only that nothing is found, as for one without a letter or digit.
 * Throws ConfabError BAD_REQUEST when it is blank or over `Limits.queryChars`.
 */
export const parseSearchQuery = (q: string): SearchClause[] => {
  if (q.length > Limits.queryChars)
    throw new ConfabError('BAD_REQUEST', `A query has at most ${Limits.queryChars} characters.`, {
      field: '/q',
    })
  if (q.trim() === '') throw new ConfabError('BAD_REQUEST', 'This query is blank.', { field: '/q' })
  const clauses: SearchClause[] = []
  for (const [all, phrase] of q.matchAll(/"([^"]*)(?:"\*?|$)|[^\s"]+/g)) {
    const prefix = all.endsWith('*')
    clauses.push({ text: phrase ?? (prefix ? all.slice(0, -1) : all), prefix })
  }
  return clauses
}
