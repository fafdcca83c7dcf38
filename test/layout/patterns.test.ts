import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseSync } from 'oxc-parser'
import { check, type Diagnostics } from 'recheck'
import t from 'tap'
import * as events from '../../src/events/index.ts'

const src = resolve(import.meta.dirname, '../../src')

/** The operator of the command line chooses its input, and it serves no clients. */
const isChecked = (path: string): boolean => path.endsWith('.ts') && !path.startsWith('cli/')

interface Pattern {
  readonly path: string
  readonly pattern: string
  readonly flags: string
}

/** Calls `visit` with each node of a syntax tree. */
const walk = (node: unknown, visit: (node: Record<string, unknown>) => void): void => {
  if (typeof node !== 'object' || node === null) return
  if (!Array.isArray(node)) visit(node as Record<string, unknown>)
  for (const child of Object.values(node)) walk(child, visit)
}

/** The patterns in the sources, and the files that build others from parts. */
const found = ((): { literals: Pattern[]; builders: string[] } => {
  const literals: Pattern[] = []
  const builders = new Set<string>()
  for (const path of (readdirSync(src, { recursive: true }) as string[]).filter(isChecked))
    walk(parseSync(path, readFileSync(join(src, path), 'utf8')).program, node => {
      if (node.type === 'Literal' && node.regex !== undefined)
        literals.push({ path, ...(node.regex as { pattern: string; flags: string }) })
      const callee = node.callee as { name?: string } | undefined
      if (callee?.name === 'RegExp') builders.add(path)
    })
  return { literals, builders: [...builders].sort() }
})()

/** The patterns in the schemas of requests and events, once each. */
const inSchemas = ((): Pattern[] => {
  const patterns = new Set<string>()
  walk(events, ({ pattern, patternProperties }) => {
    if (typeof pattern === 'string') patterns.add(pattern)
    for (const each of Object.keys(patternProperties ?? {})) patterns.add(each)
  })
  return Array.from(patterns, pattern => ({ path: 'events', pattern, flags: '' }))
})()

/**
 * The checker does not know flag `v`: sets of characters become plain sets. Whether a pattern is linear depends on
 * where it repeats, and these patterns do not repeat sets beside each other.
 */
const withoutSets = (pattern: string): string => {
  let plain = ''
  let depth = 0
  for (let i = 0; i < pattern.length; i++) {
    const char = pattern[i]!
    const escaped = char === '\\' ? pattern.slice(i, i + 2) : char
    if (char === '\\') i++
    if (escaped === '[') depth++
    if (depth === 0) plain += escaped
    if (escaped === ']' && --depth === 0) plain += '[a-m]'
  }
  return plain.replaceAll('\\p{RGI_Emoji}', '(?:a|ab|abc)')
}

/**
 * Patterns that the checker cannot finish in its time, and why they are linear.
 * infra/nats/feed/digest.ts: anchored, and each repetition ends at a character that it cannot match.
 */
const reviewed: ReadonlySet<string> = new Set(['infra/nats/feed/digest.ts'])

const isLinear = async ({ pattern, flags }: Pattern): Promise<Diagnostics> =>
  flags.includes('v')
    ? await check(withoutSets(pattern), flags.replace('v', 'u'), { timeout: 20_000 })
    : await check(pattern, flags, { timeout: 20_000 })

t.test('every regular expression is linear in its input', async t => {
  const all = [...found.literals, ...inSchemas]
  t.ok(all.length > 50, `${all.length} patterns`)
  for (const pattern of all) {
    const found = await isLinear(pattern)
    const text = `/${pattern.pattern}/${pattern.flags} in src/${pattern.path}`
    if (found.status === 'unknown') t.ok(reviewed.has(pattern.path), `${text}: the checker does not know`)
    else t.equal(found.status, 'safe', `${text}: ${'attack' in found ? found.attack?.pattern : ''}`)
  }
})

t.test('the checker finds what this test is for', async t => {
  for (const pattern of ['([\\w-]+):(\\d{1,16})(,|$)', '[\\s.]+$', '(<mark>.*?<\\/mark>)', '(a+)+$'])
    t.equal((await check(pattern, '')).status, 'vulnerable', pattern)
})

t.test('patterns that are built from parts are few, and reviewed', async t => {
  // Check a new one with recheck, and add its file here.
  t.same(found.builders, [
    // The pattern of an id: one set of characters, up to 64 times.
    'events/ids.ts',
    // Names of tables and indices, by options of the operator.
    'infra/cassandra/migrate.ts',
    'infra/elasticsearch/search-parts.ts',
    // Headers in a fixed order; each repetition ends at a line break that it cannot match.
    'infra/nats/log/stored-message.ts',
    // Single characters.
    'projections/views/search-letters.ts',
  ])
})
