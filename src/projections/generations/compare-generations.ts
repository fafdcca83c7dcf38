import { hash } from 'node:crypto'
import type { ViewRow } from '../ports/stores.ts'

/** Reads all rows of a generation of a view: a store's `rows`. Can be called any number of times. */
export type ReadRows = () => AsyncIterable<readonly ViewRow[]>

/** A row that one generation has and the other does not. */
export interface RowDifference extends ViewRow {
  readonly only: 'a' | 'b'
}

export interface Comparison {
  /** Number of rows in each generation. */
  readonly rows: { readonly a: number; readonly b: number }
  /** Number of conversations with rows in either generation. */
  readonly conversations: number
  /** Conversations whose rows differ, sorted. */
  readonly different: readonly string[]
  /** The first rows that differ. */
  readonly examples: readonly RowDifference[]
}

export interface CompareOptions {
  /** Maximum number of differing rows to return. Default 10. */
  readonly examples?: number
  /** Called with the number of rows read so far, of both generations. */
  readonly onProgress?: (rows: number) => void
  /** Rejects with the signal's reason when it aborts. */
  readonly signal?: AbortSignal
}

/**
 * Row count and hash of one conversation. The hash is a 32-bit sum of row hashes: independent of row order and,
 * unlike XOR, sensitive to a row that occurs twice.
 */
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
 * Compares two generations of a view by row count and by a hash per conversation, then reads the differing
 * conversations again for examples. Memory grows with the number of conversations, not of rows. Neither generation
 * may change during the comparison.
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

/** Returns the rows of some conversations that are not in both generations, by conversation, in a fixed order. */
const differencesOf = async (
  a: ReadRows,
  b: ReadRows,
  conversations: ReadonlySet<string>,
  signal: AbortSignal | undefined,
): Promise<RowDifference[]> => {
  /** Per row: how many more times it occurs in `a` than in `b`. */
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
