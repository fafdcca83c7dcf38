import { type Option, type OptionTable, ValueError, type ValuesOf, variableOf } from '../../base/option.ts'
import { tokenProblems } from '../tokens/options.ts'
import { type GivenValue, readConfigFile } from './config-file.ts'
import { allOptions, options, orderedOptions, sections } from './option-groups.ts'

export type OptionName = keyof typeof options

/** The configuration of one process. Durations are in ms, sizes in bytes, paths absolute. Frozen. */
export type ConfabConfig = ValuesOf<typeof options> & {
  readonly [S in keyof typeof sections]: ValuesOf<(typeof sections)[S]>
}

export interface ConfigSources {
  /** Flags by option name, as commander parsed them: strings and booleans. */
  readonly flags?: Partial<Record<OptionName, unknown>>
  readonly env?: Readonly<Record<string, string | undefined>>
  /** YAML file. */
  readonly file?: string | undefined
  /** Folder that relative paths of flags and environment start from. Default: the working directory. */
  readonly cwd?: string
}

/** Thrown for a configuration with errors; names every wrong place, with the reason. */
export class ConfigError extends Error {
  readonly problems: readonly string[]

  static is = (error: unknown): error is ConfigError => error instanceof ConfigError

  constructor(problems: readonly string[]) {
    super(
      problems.length === 1
        ? `the configuration is wrong: ${problems[0]}`
        : `the configuration is wrong in ${problems.length} places:\n${problems.map(problem => `  - ${problem}`).join('\n')}`,
    )
    this.name = 'ConfigError'
    this.problems = problems
  }
}

/** Environment variables that give an option, the current name first. */
const variablesOf = (option: Option): string[] =>
  [option, { key: option.formerKey }]
    .map(named => variableOf(named as Option))
    .filter(variable => variable !== undefined)

/** Reads options from the sources, and collects what is wrong. */
class ConfigReader {
  readonly problems: string[] = []
  readonly #sources: ConfigSources
  readonly #cwd: string
  readonly #file: ReadonlyMap<string, GivenValue>
  /** Places of the options that a source gives. */
  readonly #places = new Map<Option, string>()
  readonly #numbers = new Map<Option, number>()

  constructor(sources: ConfigSources) {
    this.#sources = sources
    this.#cwd = sources.cwd ?? process.cwd()
    this.#file = readConfigFile(sources.file ?? sources.env?.CONFAB_CONFIG, this.#cwd, this.problems)
    const keys = new Set(allOptions.flatMap(({ key, formerKey }) => [key, formerKey]))
    for (const [key, { place }] of this.#file) if (!keys.has(key)) this.problems.push(`${place}: unknown key`)
  }

  /** The values of a table; `flags` by field name. */
  read(table: OptionTable, flags: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
    return Object.fromEntries(
      Object.entries(table).map(([field, option]) => [field, this.#read(option, flags[field])]),
    )
  }

  #read(option: Option, flag: unknown): unknown {
    const given = this.#given(option, flag)
    const value = given === undefined ? option.default : this.#parse(option, given)
    if (typeof value === 'number') this.#numbers.set(option, value)
    return value
  }

  /** The value of the source with the highest precedence. */
  #given(option: Option, flag: unknown): GivenValue | undefined {
    const { key, formerKey } = option
    const base = this.#cwd
    if (flag !== undefined) return { raw: flag, place: option.flag?.split(' ')[0] ?? `--${key}`, base }
    for (const variable of variablesOf(option)) {
      const raw = this.#sources.env?.[variable]
      if (raw !== undefined && raw !== '') return { raw, place: variable, base }
    }
    return this.#file.get(key ?? '') ?? this.#file.get(formerKey ?? '')
  }

  #parse(option: Option, { raw, place, base }: GivenValue): unknown {
    this.#places.set(option, place)
    try {
      return option.type.parse(raw, base)
    } catch (error) {
      if (!ValueError.is(error)) throw error
      this.problems.push(`${place}: ${error.message}${option.secret ? '' : `, not ${JSON.stringify(raw)}`}`)
      return option.default
    }
  }

  /** Checks that one bound is not more than another. */
  checkOrder(small: Option<number>, large: Option<number>): void {
    if (this.#numbers.get(small)! <= this.#numbers.get(large)!) return
    const place = this.#places.get(small)
    this.problems.push(
      place === undefined
        ? `${this.#places.get(large)}: must not be less than ${small.key}`
        : `${place}: must not be more than ${large.key}`,
    )
  }
}

/**
 * Compiles flags, environment and file into a configuration, once at start. Flags override the environment, which
 * overrides the file. Throws ConfigError.
 */
export const compileConfig = (sources: ConfigSources = {}): ConfabConfig => {
  const reader = new ConfigReader(sources)
  const { problems } = reader
  const config = {
    ...reader.read(options, sources.flags),
    ...Object.fromEntries(
      Object.entries(sections).map(([name, table]) => [name, Object.freeze(reader.read(table))]),
    ),
  } as unknown as ConfabConfig
  for (const [small, large] of orderedOptions) reader.checkOrder(small, large)
  const { secret } = config.tokens
  if (!config.dev && secret !== undefined && Buffer.byteLength(secret) < 32)
    problems.push('jwt.secret: must have at least 32 bytes (RFC 7518, 3.2)')
  const { previousSecret } = config.tokens
  if (!config.dev && previousSecret !== undefined && Buffer.byteLength(previousSecret) < 32)
    problems.push('jwt.previousSecret: must have at least 32 bytes (RFC 7518, 3.2)')
  problems.push(...tokenProblems(config.tokens, config))
  if (problems.length > 0) throw new ConfigError(problems)
  return Object.freeze(config)
}

/**
 * Variables with confab's prefix that no option has. The command line warns about them and does not refuse them: other
 * programs share the environment, and Kubernetes adds variables for a service of that name.
 */
export const unknownVariables = (env: Readonly<Record<string, string | undefined>>): string[] => {
  const known = new Set(allOptions.flatMap(variablesOf))
  return Object.keys(env).filter(variable => variable.startsWith('CONFAB_') && !known.has(variable))
}
