/**
 * Options: each value that bounds or tunes a process is one entry in a table next to the code that uses it.
 * Defaults, validation, environment variables, flags, `confab serve --help` and docs/configuration.md derive from the
 * entry; src/infra/config composes the tables.
 */

/** A set of allowed values: how to read one from a flag, the environment or YAML, and how to show it. */
export interface OptionType<T> {
  /** Name in the reference: `duration`, `size`, `integer`. */
  readonly name: string
  /** Allowed values in the reference: `1 to 65536`. */
  readonly range?: string
  /** Reads a value; `base` is the folder that relative paths start from. Throws ValueError. */
  parse(raw: unknown, base: string): T
  /** A value as an operator writes it. Not given: `String(value)`. */
  write?(value: T): string
}

/** Thrown for a value that an option does not accept: the message completes "<key> …". */
export class ValueError extends Error {
  static is = (error: unknown): error is ValueError => error instanceof ValueError
}

/** One option: its names, its allowed values, its default and its meaning. */
export interface Option<T = unknown> {
  /** Dotted key in the YAML file. Not given: the option is a flag or an environment variable only. */
  readonly key?: string
  /** The key of earlier versions, which files and the environment may still use. */
  readonly formerKey?: string
  readonly type: OptionType<T>
  /** The value where no source gives one. */
  readonly default: T
  /** Default as an operator writes it, where it differs from the value. */
  readonly shownDefault?: string
  /** Unit of an integer or a rate: `requests`, `requests/s`. */
  readonly unit?: string
  /** One or two sentences for the reference and for help. */
  readonly doc: string
  /** Environment variable. Default: derived from the key by `variableOf`; null: none. */
  readonly env?: string | null
  /** Command-line flag as commander defines it: `--port <n>`. Not given: none. */
  readonly flag?: string
  /**
   * `true`: the value is a secret, which no output shows. `url`: a URL with credentials, which no output shows. Either
   * may be in a file that the variable with the suffix `_FILE` names.
   */
  readonly secret?: true | 'url'
}

export type OptionTable = Readonly<Record<string, Option>>

/** The values of a table's options, by field name. */
export type ValuesOf<O> = { readonly [K in keyof O]: O[K] extends Option<infer T> ? T : never }

type OptionalParts<T> = Omit<Option<T>, 'type' | 'default' | 'doc'>

/** An entry of a table. Without a default the value may be undefined. */
export function option<T>(
  entry: OptionalParts<T> & {
    readonly type: OptionType<T>
    readonly default: NoInfer<T>
    readonly doc: string
  },
): Option<T>
export function option<T>(
  entry: OptionalParts<T> & { readonly type: OptionType<T>; readonly doc: string },
): Option<T | undefined>
export function option(entry: OptionalParts<unknown> & { type: OptionType<unknown>; doc: string }): Option {
  return { default: undefined, ...entry }
}

/** The defaults of a table, frozen. */
export const defaultsOf = <O extends OptionTable>(table: O): ValuesOf<O> =>
  Object.freeze(
    Object.fromEntries(Object.entries(table).map(([field, entry]) => [field, entry.default])),
  ) as ValuesOf<O>

/** Suffix of the variable that names the file of a secret. */
export const fileSuffix = '_FILE'

/** Environment variable of an option: `edge.inFlight` is `CONFAB_EDGE_IN_FLIGHT` unless the entry names another. */
export const variableOf = ({ key, env }: Option): string | undefined => {
  if (env !== undefined) return env ?? undefined
  return key === undefined
    ? undefined
    : `CONFAB_${key.replace(/[A-Z]/g, '_$&').replaceAll('.', '_').toUpperCase()}`
}
