import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { LineCounter, parseDocument } from 'yaml'
import { allOptions } from './all-options.ts'
import { groups } from './limit-options.ts'
import { alsoKnown, comesLater, type Option, options } from './options.ts'
import { ValueError } from './values.ts'

type Options = typeof options
type OptionName = keyof Options

type Values<O> = { readonly [K in keyof O]: O[K] extends Option<infer T> ? T : never }

/** The configuration of one process: every unit resolved, every path absolute, nothing left to default. Frozen. */
export type ConfabConfig = Values<Options> & {
  readonly [G in keyof typeof groups]: Values<(typeof groups)[G]>
}

export interface ConfigSources {
  /** Options as flags gave them, by option name: what commander parsed, strings and booleans. */
  readonly flags?: Partial<Record<OptionName, unknown>>
  readonly env?: Readonly<Record<string, string | undefined>>
  /** YAML file. */
  readonly file?: string | undefined
  /** What relative paths of flags and environment start from. Default: the working directory. */
  readonly cwd?: string
}

/** The configuration is wrong: every place that is, with the reason. */
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

interface Given {
  readonly raw: unknown
  readonly place: string
  readonly base: string
}

const flagOf = (name: string): string => `--${name.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)}`

/**
 * Compiles flags, environment and file into a configuration, once, at start. Throws ConfigError that names every wrong and every unknown key with its place.
 */
export const compileConfig = (sources: ConfigSources = {}): ConfabConfig => {
  const cwd = sources.cwd ?? process.cwd()
  const env = sources.env ?? {}
  const problems: string[] = []
  const file = readConfigFile(sources.file ?? env.CONFAB_CONFIG, cwd, problems)

  for (const { env: variable, key, what } of comesLater) {
    const place = env[variable] ? variable : file.get(key)?.place
    if (place !== undefined) problems.push(`${place}: ${what} comes later; this version keeps it embedded`)
  }
  for (const [key, { place }] of file)
    if (!allOptions.some(option => option.key === key) && !comesLater.some(later => later.key === key))
      problems.push(`${place}: unknown key`)

  const places = new Map<string, string>()
  const numbers = new Map<string, number>()
  const resolved = (option: Option, name?: OptionName): unknown => {
    const flag = name === undefined ? undefined : sources.flags?.[name]
    const variable = option.env === undefined ? undefined : env[option.env]
    const given: Given | undefined =
      flag !== undefined
        ? { raw: flag, place: flagOf(name ?? ''), base: cwd }
        : variable !== undefined && variable !== ''
          ? { raw: variable, place: option.env ?? option.key, base: cwd }
          : file.get(option.key)
    if (typeof option.fallback === 'number') numbers.set(option.key, option.fallback)
    if (given === undefined) return option.fallback
    places.set(option.key, given.place)
    try {
      const value = option.parse(given.raw, given.base)
      if (typeof value === 'number') numbers.set(option.key, value)
      return value
    } catch (error) {
      if (!ValueError.is(error)) throw error
      problems.push(
        `${given.place}: ${error.message}${option.secret ? '' : `, not ${JSON.stringify(given.raw)}`}`,
      )
      return option.fallback
    }
  }
  const values: Record<string, unknown> = {}
  for (const [name, option] of Object.entries(options) as [OptionName, Option][])
    values[name] = resolved(option, name)
  for (const [name, group] of Object.entries(groups))
    values[name] = Object.freeze(
      Object.fromEntries(
        Object.entries<unknown>({ ...group }).map(([field, option]) => [field, resolved(option as Option)]),
      ),
    )
  for (const [small, large] of ordered)
    if (numbers.get(small.key)! > numbers.get(large.key)!) {
      const place = places.get(small.key)
      problems.push(
        place === undefined
          ? `${places.get(large.key)}: must not be less than ${small.key}`
          : `${place}: must not be more than ${large.key}`,
      )
    }
  if (!values.dev && typeof values.jwtSecret === 'string' && Buffer.byteLength(values.jwtSecret) < 32)
    problems.push('jwt.secret: must have at least 32 bytes (RFC 7518, 3.2)')
  if (problems.length > 0) throw new ConfigError(problems)
  return Object.freeze(values) as ConfabConfig
}

/** Bounds that are good each for itself, and not together: the first must not be more than the second. */
const ordered: readonly (readonly [small: Option<number>, large: Option<number>])[] = [
  [groups.edge.closingBytes, groups.edge.transportBytes],
  [groups.commands.batchFrom, groups.commands.batchMost],
  [groups.remoteCommands.tryMs, groups.remoteCommands.patienceMs],
]

/**
 * Variables that look as if they were meant for confab and are not: told of, not refused, since an environment is shared (Kubernetes puts variables of its own
 * there for a service of that name).
 */
export const unknownVariables = (env: Readonly<Record<string, string | undefined>>): string[] =>
  Object.keys(env).filter(variable => variable.startsWith('CONFAB_') && !isKnownVariable(variable))

const isKnownVariable = (variable: string): boolean =>
  allOptions.some(option => option.env === variable) ||
  comesLater.some(later => later.env === variable) ||
  (alsoKnown as readonly string[]).includes(variable)

/** Why a file cannot be read, in words. */
const whyUnread = (error: unknown): string => {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'there is no such file'
  if (code === 'EISDIR') return 'this is a folder, no file'
  if (code === 'EACCES') return 'no permission to read it'
  return error instanceof Error ? error.message : String(error)
}

/** The leaves of a YAML file by dotted key, each with its line. */
const readConfigFile = (path: string | undefined, cwd: string, problems: string[]): Map<string, Given> => {
  const leaves = new Map<string, Given>()
  if (path === undefined || path === '') return leaves
  const absolute = resolve(cwd, path)
  let source: string
  try {
    source = readFileSync(absolute, 'utf8')
  } catch (error) {
    problems.push(`${path}: ${whyUnread(error)}`)
    return leaves
  }
  const lines = new LineCounter()
  const document = parseDocument(source, { lineCounter: lines })
  for (const error of document.errors)
    problems.push(`${path}:${error.linePos?.[0].line ?? 1}: ${error.message.split('\n')[0]}`)
  if (document.errors.length > 0 || document.contents === null) return leaves

  const visit = (node: unknown, key: string): void => {
    const { items, range } = node as { items?: unknown[]; range?: [number, number, number] }
    const place = `${path}:${lines.linePos(range?.[0] ?? 0).line}${key === '' ? '' : `: ${key}`}`
    const isMap = items?.every(item => (item as { key?: unknown }).key !== undefined) ?? false
    if (items === undefined || !isMap || comesLater.some(later => later.key === key)) {
      if (key === '') problems.push(`${place}: must be a map of options`)
      else
        leaves.set(key, {
          raw: (node as { toJSON(): unknown } | null)?.toJSON() ?? null,
          place,
          base: dirname(absolute),
        })
      return
    }
    for (const item of items as { key: { value: unknown }; value: unknown }[])
      visit(item.value ?? item.key, key === '' ? String(item.key.value) : `${key}.${item.key.value}`)
  }
  visit(document.contents, '')
  return leaves
}
