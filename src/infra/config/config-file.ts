import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { LineCounter, parseDocument } from 'yaml'
import { readErrorText } from '../../base/read-error-text.ts'

/** A value that a source gives for an option. */
export interface GivenValue {
  readonly raw: unknown
  /** Where the operator wrote it, for errors: `confab.yaml:3: port`, `CONFAB_PORT`, `--port`. */
  readonly place: string
  /** The folder that relative paths start from. */
  readonly base: string
  /** Whether it is the content of a file of its own. Errors do not show it then. */
  readonly isFileContent?: true
}

/** The message of a syntax error without the text of the file that it quotes, which may be a secret. */
const withoutSource = (message: string): string => {
  const [line = ''] = message.split('\n')
  const place = / at line \d+, column \d+:?$/.exec(line)?.[0] ?? ''
  const reason = line.slice(0, line.length - place.length)
  const quoted = reason.search(/"|: /)
  return `${quoted < 0 ? reason : reason.slice(0, quoted)}${place}`.trim()
}

/**
 * Returns the values of a YAML file by dotted key, each with its line. Adds to `problems` when the file cannot be read
 * or parsed.
 */
export const readConfigFile = (
  path: string | undefined,
  cwd: string,
  problems: string[],
): Map<string, GivenValue> => {
  const values = new Map<string, GivenValue>()
  if (path === undefined || path === '') return values
  const absolute = resolve(cwd, path)
  let source: string
  try {
    source = readFileSync(absolute, 'utf8')
  } catch (error) {
    problems.push(`${path}: ${readErrorText(error)}`)
    return values
  }
  const lines = new LineCounter()
  const document = parseDocument(source, { lineCounter: lines })
  for (const error of document.errors)
    problems.push(`${path}:${error.linePos?.[0].line ?? 1}: ${withoutSource(error.message)}`)
  if (document.errors.length > 0 || document.contents === null) return values

  const visit = (node: unknown, key: string): void => {
    const { items, range } = node as { items?: unknown[]; range?: [number, number, number] }
    const place = `${path}:${lines.linePos(range?.[0] ?? 0).line}${key === '' ? '' : `: ${key}`}`
    const isMap = items?.every(item => (item as { key?: unknown }).key !== undefined) ?? false
    if (items === undefined || !isMap) {
      if (key === '') problems.push(`${place}: must be a map of options`)
      else
        values.set(key, {
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
  return values
}
