/** The target of a figure, relative to its limit or absolute. */
export type Target =
  /** confab / limit is at least `value`. `to`: the limit is this peer's figure, one of `Sides.beside`. */
  | { readonly rule: 'ratio at least'; readonly value: number; readonly to?: string }
  /** confab / limit is at most `value`. */
  | { readonly rule: 'ratio at most'; readonly value: number }
  /** confab - limit is at most `value`, in the figure's unit. */
  | { readonly rule: 'more at most'; readonly value: number }
  /** The figure is at most `value`, in its unit. */
  | { readonly rule: 'at most'; readonly value: number }
  /** No target: the figure is only reported. */
  | { readonly rule: 'none'; readonly value?: undefined }

/** One line of the table. */
export interface Figure {
  readonly path: string
  readonly unit: string
  readonly target: Target
}

/** One number per figure, in the order of the row's figures. */
export type Sample = readonly number[]

/** Both sides of a row, ready to be measured repeatedly, in turns. */
export interface Sides {
  ours(): Promise<Sample>
  /** The limit; undefined where the target is absolute, NaN for figures without a limit. */
  limit?(): Promise<Sample>
  /** Other programs doing the same work, by name; they take their turns after confab. */
  readonly beside?: Readonly<Record<string, () => Promise<Sample>>>
}

export interface Context {
  /** Smaller sizes: to check that the row works, not for quoting. */
  readonly quick: boolean
  /** Reports progress on standard error. */
  tell(text: string): void
  /** Runs `end` when the row is over, in any case; the last one first. */
  defer(end: () => unknown): void
}

/** Thrown when a row cannot be measured on this machine, with the reason. Not a failure. */
export class SkippedRow extends Error {
  static is = (error: unknown): error is SkippedRow => error instanceof SkippedRow
}

export interface Row {
  /** The row's name in `npm run bench -- <name>`. */
  readonly name: string
  readonly figures: readonly Figure[]
  /**
   * Turns of each side per round; the round's figure is their mean. Default 1; more where turns are short and other
   * load varies.
   */
  readonly turns?: number
  /** Maximum number of rounds, for rows that take minutes. The warm-up is not counted. */
  readonly mostRounds?: number
  prepare(context: Context): Promise<Sides>
}

/** A line of `--json`. `limit` and `ratio` are null without a limit. */
export interface Outcome {
  readonly path: string
  readonly ours: number
  readonly limit: number | null
  readonly unit: string
  readonly ratio: number | null
  /** The bound of `rule`; null without a target. */
  readonly target: number | null
  /** Null without a target, or without the limit to compare with. */
  readonly pass: boolean | null
  readonly rule: Target['rule']
  /** The peers' figures, by name. */
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
