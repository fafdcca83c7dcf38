/** What a figure has to be, against its limit or by itself. */
export type Target =
  /** ours / limit is `value` or more. `to`: the limit is what this peer does, one of `Sides.beside`. */
  | { readonly rule: 'ratio at least'; readonly value: number; readonly to?: string }
  /** ours / limit is `value` or less. */
  | { readonly rule: 'ratio at most'; readonly value: number }
  /** ours - limit is `value` or less, in the figure's unit. */
  | { readonly rule: 'more at most'; readonly value: number }
  /** ours is `value` or less, in the figure's unit. */
  | { readonly rule: 'at most'; readonly value: number }
  /** Nothing is asked of it: it is told. */
  | { readonly rule: 'none'; readonly value?: undefined }

/** One line of the table. */
export interface Figure {
  readonly path: string
  readonly unit: string
  readonly target: Target
}

/** One number a figure, in the order of the row's figures. */
export type Sample = readonly number[]

/** Both sides of a row, ready to be measured again and again, in turns. */
export interface Sides {
  ours(): Promise<Sample>
  /** The limit; undefined where the target is an absolute one, NaN for figures that it has none for. */
  limit?(): Promise<Sample>
  /** Other programs at the same work, by their names; they take their turns after ours. */
  readonly beside?: Readonly<Record<string, () => Promise<Sample>>>
}

export interface Context {
  /** Less of everything: to see that it works, not to quote. */
  readonly quick: boolean
  /** Tells the user how it goes, on standard error. */
  tell(text: string): void
  /** Runs `end` when the row is over, whether or not all went well; the last one first. */
  defer(end: () => unknown): void
}

/** A row can't be measured on this machine, and says why: that is no failure. */
export class SkippedRow extends Error {
  static is = (error: unknown): error is SkippedRow => error instanceof SkippedRow
}

export interface Row {
  /** What `npm run bench -- <name>` calls it. */
  readonly name: string
  readonly figures: readonly Figure[]
  /** Turns of each side that make one round, their mean the round's figure. Default 1; more where turns are short and the machine's other work comes and goes. */
  readonly turns?: number
  /** Rounds, at most, for a row that takes minutes. Its warm-up counts for nothing all the same. */
  readonly mostRounds?: number
  prepare(context: Context): Promise<Sides>
}

/** A line of `--json`. `limit` and `ratio` are null where there is no limit. */
export interface Outcome {
  readonly path: string
  readonly ours: number
  readonly limit: number | null
  readonly unit: string
  readonly ratio: number | null
  /** The bound that `rule` speaks of; null where nothing is asked. */
  readonly target: number | null
  /** Null where nothing is asked, or what it is held against is not there. */
  readonly pass: boolean | null
  readonly rule: Target['rule']
  /** What peers do, by their names. */
  readonly beside?: Readonly<Record<string, number>>
}

export const holds = ({ rule, value }: Target, ours: number, limit: number | null): boolean | null => {
  if (rule === 'none') return null
  if (rule === 'at most') return ours <= value
  if (limit === null) return null
  switch (rule) {
    case 'ratio at least':
      return ours / limit >= value
    case 'ratio at most':
      return ours / limit <= value
    case 'more at most':
      return ours - limit <= value
  }
}

export const describeTarget = ({ rule, target }: Pick<Outcome, 'rule' | 'target'>, unit: string): string => {
  const value = target ?? Number.NaN
  switch (rule) {
    case 'none':
      return ''
    case 'ratio at least':
      return `≥ ${value.toFixed(2)} ×`
    case 'ratio at most':
      return `≤ ${value.toFixed(2)} ×`
    case 'more at most':
      return `≤ limit + ${value} ${unit}`
    case 'at most':
      return `≤ ${value} ${unit}`
  }
}
