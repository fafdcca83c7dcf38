import { hash } from 'node:crypto'
import type { ViewRow } from '../ports/stores.ts'

/** All rows of a generation of a view, as often as they are asked for: a store's `rows`. */
export type ReadRows = () => AsyncIterable<readonly ViewRow[]>

/** A row that one generation has and the other has not. */
export interface RowDifference extends ViewRow {
  readonly only: 'a' | 'b'
}

export interface Comparison {
  /** Rows of each. */
  readonly rows: { readonly a: number; readonly b: number }
  /** Conversations that either has rows of. */
  readonly conversations: number
  /** Those whose rows are not the same, sorted. */
  readonly different: readonly string[]
  /** The first of the rows that make the difference. */
  readonly examples: readonly RowDifference[]
}

export interface CompareOptions {
  /** How many rows of difference are wanted, at most. Default 10. */
  readonly examples?: number
  /** Rows of both that were read so far. */
  readonly onProgress?: (rows: number) => void
  /** Rejects with its reason once it aborts. */
  readonly signal?: AbortSignal
}

/** Count and hash of one conversation's rows. Sums of 32 bits of each row's hash do not depend on the order of rows, and unlike an exclusive or see a row that is there twice. */
interface Sums {
  rows: number
  first: number
  second: number
  third: number
}

const emptySums = (): Sums => ({ rows: 0, first: 0, second: 0, third: 0 })

const add = (sums: Sums, content: string): void => {
  const digest = hash('sha1', content, 'buffer')
  sums.rows++
  sums.first = (sums.first + digest.readUInt32LE(0)) >>> 0
  sums.second = (sums.second + digest.readUInt32LE(4)) >>> 0
  sums.third = (sums.third + digest.readUInt32LE(8)) >>> 0
}

const areSame = (a: Sums, b: Sums): boolean =>
  a.rows === b.rows && a.first === b.first && a.second === b.second && a.third === b.third

/**
 * Compares two generations of a view: the number of rows, and a hash for each conversation; then reads those that differ again, for examples. Memory is bounded by
 * the number of conversations, not of rows. The generations have to stand still meanwhile.
 */
export const compareGenerations = async (
  a: ReadRows,
  b: ReadRows,
  { examples = 10, onProgress, signal }: CompareOptions = {},
): Promise<Comparison> => {
  const sums = new Map<string, { readonly a: Sums; readonly b: Sums }>()
  const rows = { a: 0, b: 0 }
  for (const [side, read] of [
    ['a', a],
    ['b', b],
  ] as const)
    for await (const some of read()) {
      signal?.throwIfAborted()
      for (const { c, content } of some) {
        let both = sums.get(c)
        if (both === undefined) {
          both = { a: emptySums(), b: emptySums() }
          sums.set(c, both)
        }
        add(both[side], content)
      }
      rows[side] += some.length
      onProgress?.(rows.a + rows.b)
    }
  const different = [...sums]
    .filter(([, both]) => !areSame(both.a, both.b))
    .map(([c]) => c)
    .sort()
  return {
    rows,
    conversations: sums.size,
    different,
    examples:
      different.length === 0 || examples === 0
        ? []
        : (await differencesOf(a, b, new Set(different.slice(0, examples)), signal)).slice(0, examples),
  }
}

/** The rows of some conversations that are not in both, by conversation, in an order of their own. */
const differencesOf = async (
  a: ReadRows,
  b: ReadRows,
  conversations: ReadonlySet<string>,
  signal: AbortSignal | undefined,
): Promise<RowDifference[]> => {
  /** By row, how many more times it is in `a` than in `b`. */
  const surplus = new Map<string, { readonly row: ViewRow; count: number }>()
  for (const [read, step] of [
    [a, 1],
    [b, -1],
  ] as const)
    for await (const some of read()) {
      signal?.throwIfAborted()
      for (const row of some) {
        if (!conversations.has(row.c)) continue
        const key = `${row.c}\n${row.content}`
        const entry = surplus.get(key) ?? { row, count: 0 }
        entry.count += step
        if (entry.count === 0) surplus.delete(key)
        else surplus.set(key, entry)
      }
    }
  return [...surplus]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([, { row, count }]) => ({ ...row, only: count > 0 ? 'a' : 'b' }))
}
