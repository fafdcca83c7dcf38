import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { fileSuffix, type Option, type OptionTable, ValueError, variableOf } from '../../base/option.ts'
import { readErrorText } from '../../base/read-error-text.ts'
import { hideSecret, hideUrlCredentials, redact } from '../../base/redact.ts'
import { backupProblems } from '../nats/backup/options.ts'
import { tokenProblems } from '../tokens/options.ts'
import { type GivenValue, readConfigFile } from './config-file.ts'
import { allOptions, type ConfabConfig, options, orderedOptions, sections } from './option-groups.ts'
import { tlsProblems } from './tls-problems.ts'

export type OptionName = keyof typeof options

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

/** The variables of an option, and those that name a file with its value. */
const allVariablesOf = (option: Option): string[] =>
  variablesOf(option).flatMap(variable =>
    option.secret === undefined ? [variable] : [variable, `${variable}${fileSuffix}`],
  )

/** A value as an error message may show it. */
const shown = ({ secret }: Option, raw: unknown): string => {
  const text = JSON.stringify(raw)
  return secret === true || (secret === 'url' && text.includes('@')) ? '' : `, not ${text}`
}

/** Values of the YAML file with this prefix name a file that holds the secret. */
const filePrefix = 'file:'

const isFileName = (raw: unknown): raw is string => typeof raw === 'string' && raw.startsWith(filePrefix)

/** The place of a key; without the levels below the key of a secret, which may be the secret. */
const withoutSecretKey = (key: string, place: string): string => {
  const parent = allOptions.find(
    ({ secret, key: one }) => secret !== undefined && key.startsWith(`${one}.`),
  )?.key
  return parent === undefined ? place : place.slice(0, parent.length - key.length)
}

/** Keeps a secret, or the credentials of a URL, out of all output of this process. */
const hide = ({ secret }: Option, value: unknown): void => {
  if (secret === undefined) return
  for (const one of [value].flat())
    if (typeof one === 'string') secret === 'url' ? hideUrlCredentials(one) : hideSecret(one)
}

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
    for (const [key, { place }] of this.#file)
      if (!keys.has(key)) this.problems.push(`${withoutSecretKey(key, place)}: unknown key`)
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
      const raw = this.#variable(variable)
      const file = option.secret === undefined ? undefined : this.#variable(`${variable}${fileSuffix}`)
      if (raw !== undefined && file !== undefined)
        this.problems.push(`${variable} and ${variable}${fileSuffix}: set one of them`)
      else if (file !== undefined) return this.#secretOf(file, `${variable}${fileSuffix}`, base)
      if (raw !== undefined) return { raw, place: variable, base }
    }
    const given = this.#file.get(key ?? '') ?? this.#file.get(formerKey ?? '')
    return given !== undefined && option.secret !== undefined && isFileName(given.raw)
      ? this.#secretOf(given.raw.slice(filePrefix.length), given.place, given.base)
      : given
  }

  /** The value of an environment variable; an empty one counts as not set. */
  #variable(name: string): string | undefined {
    return this.#sources.env?.[name] || undefined
  }

  /** The secret in a file, without the newline at its end. */
  #secretOf(path: string, place: string, base: string): GivenValue | undefined {
    const absolute = resolve(base, path.trim())
    try {
      return {
        raw: readFileSync(absolute, 'utf8').replace(/\r?\n$/, ''),
        place: `${place}: ${absolute}`,
        base,
        isFileContent: true,
      }
    } catch (error) {
      this.problems.push(`${place}: ${absolute}: ${readErrorText(error)}`)
      return undefined
    }
  }

  #parse(option: Option, { raw, place, base, isFileContent }: GivenValue): unknown {
    this.#places.set(option, place)
    try {
      const value = option.type.parse(raw, base)
      hide(option, value)
      return value
    } catch (error) {
      if (!ValueError.is(error)) throw error
      this.problems.push(`${place}: ${error.message}${isFileContent ? '' : shown(option, raw)}`)
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

/** Secrets that the AWS SDK reads from the environment by itself. */
const foreignSecrets = ['AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN']

/**
 * Compiles flags, environment and file into a configuration, once at start. Flags override the environment, which
 * overrides the file. Throws ConfigError.
 */
export const compileConfig = (sources: ConfigSources = {}): ConfabConfig => {
  for (const variable of foreignSecrets) hideSecret(sources.env?.[variable] ?? '')
  const reader = new ConfigReader(sources)
  const { problems } = reader
  const config = {
    ...reader.read(options, sources.flags),
    ...Object.fromEntries(
      Object.entries(sections).map(([name, table]) => [name, Object.freeze(reader.read(table))]),
    ),
  } as unknown as ConfabConfig
  for (const [small, large] of orderedOptions) reader.checkOrder(small, large)
  const { secret, previousSecret, jwks } = config.tokens
  if (config.dev && [secret, previousSecret, jwks].some(key => key !== undefined))
    problems.push(
      'dev: excludes jwt.secret, jwt.previousSecret and jwt.jwks: a development server signs tokens for everybody, with a secret of its own. Remove --dev, or those keys',
    )
  problems.push(...tokenProblems(config.tokens, config), ...tlsProblems(config), ...backupProblems(config))
  if (problems.length > 0) throw new ConfigError(problems)
  return Object.freeze(config)
}

/** The environment variables of confab that hold a secret. */
export const secretVariables = (): string[] =>
  allOptions.filter(({ secret }) => secret !== undefined).flatMap(variablesOf)

/**
 * Variables with confab's prefix that no option has. The command line warns about them and does not refuse them: other
 * programs share the environment, and Kubernetes adds variables for a service of that name.
 */
export const unknownVariables = (env: Readonly<Record<string, string | undefined>>): string[] => {
  const known = new Set(allOptions.flatMap(allVariablesOf))
  return Object.keys(env).filter(variable => variable.startsWith('CONFAB_') && !known.has(variable))
}

/**
 * The options of a configuration that differ from their defaults, by key and as an operator writes them. Without
 * secrets and without the credentials of URLs.
 */
export const shownConfig = (config: ConfabConfig): Readonly<Record<string, string>> => {
  const shownOf = (table: OptionTable, values: object): [string, string][] =>
    Object.entries(table).flatMap(([field, { key, type, secret, default: usual }]) => {
      const value = (values as Readonly<Record<string, unknown>>)[field]
      if (key === undefined || value === undefined || isDeepStrictEqual(value, usual)) return []
      return [[key, secret === true ? '[redacted]' : redact(type.write?.(value) ?? String(value))]]
    })
  return Object.fromEntries([
    ...shownOf(options, config),
    ...Object.entries(sections).flatMap(([name, table]) =>
      shownOf(table, config[name as keyof typeof sections]),
    ),
  ])
}
