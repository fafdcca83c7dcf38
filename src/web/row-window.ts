import type { Row } from './rows.ts'

/** Maximum number of rows in the document, and how many of them are replaced at once. */
export const windowRows = 300
const stepRows = 100

/** The part of the rows that is in the document. */
export interface WindowRows {
  readonly rows: readonly Row[]
  /** Whether there are more rows before and after them. */
  readonly before: boolean
  readonly after: boolean
}

/**
 * Chooses the rows that are in the document: the last ones, or those from a `seq` on. A long conversation costs the
 * browser no more than a short one.
 */
export class RowWindow {
  /** seq of the first row; undefined: the window ends with the last row. */
  #first: number | undefined
  #rows: readonly Row[] = []
  #from = 0

  /** `shown`: index of a row that has to be in the window; -1: none. */
  of(rows: readonly Row[], shown = -1): WindowRows {
    const last = Math.max(0, rows.length - windowRows)
    const first = this.#first
    const found = first === undefined ? last : rows.findIndex(row => row.seq >= first)
    let from = found < 0 ? last : Math.min(found, last)
    if (shown >= 0 && (shown < from || shown >= from + windowRows))
      from = Math.max(0, Math.min(shown - windowRows / 2, last))
    this.#move(rows, from)
    const part = rows.slice(from, from + windowRows)
    // The day of the first message stays visible.
    const day =
      part[0]?.kind === 'day' ? undefined : rows.findLast((row, i) => i < from && row.kind === 'day')
    return {
      rows: day === undefined ? part : [day, ...part],
      before: from > 0,
      after: from + windowRows < rows.length,
    }
  }

  /** Moves the window towards the first row. Returns whether it moved. */
  up(): boolean {
    return this.#move(this.#rows, Math.max(0, this.#from - stepRows))
  }

  /** Moves the window towards the last row. Returns whether it moved. */
  down(): boolean {
    return this.#move(
      this.#rows,
      Math.min(Math.max(0, this.#rows.length - windowRows), this.#from + stepRows),
    )
  }

  /** Moves the window to the last row and keeps it there. */
  toEnd(): void {
    this.#first = undefined
  }

  #move(rows: readonly Row[], from: number): boolean {
    const moved = this.#rows === rows && from !== this.#from
    this.#rows = rows
    this.#from = from
    this.#first = from + windowRows >= rows.length ? undefined : rows[from]?.seq
    return moved
  }
}
