import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import t from 'tap'

const src = resolve(import.meta.dirname, '../../src')

/** What each part may import of ours. Dependencies point one way, from the edge down to events; only the composition roots know every adapter. */
const allowed: Record<string, readonly string[]> = {
  events: [],
  commands: ['events'],
  projections: ['events'],
  edge: ['events', 'commands', 'projections'],
  web: ['client'],
  infra: ['events', 'commands', 'projections', 'edge'],
  client: [],
  cli: ['events', 'commands', 'projections', 'client', 'infra', 'main'],
}

/** Browsers load these as they are, so that only types may come from elsewhere. */
const typesOnly: Record<string, readonly string[]> = { client: ['events'], web: ['events'] }

/** The concept that a file belongs to: its folder, the web page, or `main` for the composition roots beside the folders. */
const partOf = (path: string): string => {
  const [top, next] = path.split('/')
  if (top!.endsWith('.ts')) return 'main'
  return top === 'edge' && next === 'web' ? 'web' : top!
}

const importPattern =
  /(?:^|\n)\s*(?:import|export)\s+(type\s)?[^'";]*?from\s+'(\.[^']+)'|import\(\s*'(\.[^']+)'\s*\)/g

/** Imports of a file that break the directions; both paths relative to src. */
const violations = (path: string, text: string): string[] => {
  const part = partOf(path)
  if (part === 'main') return []
  const found: string[] = []
  for (const [, type, from, dynamic] of text.matchAll(importPattern)) {
    const target = relative(src, resolve(src, dirname(path), (from ?? dynamic)!))
    const to = partOf(target)
    const technology = (file: string) => file.split('/')[1]
    const fine =
      to === part
        ? part !== 'infra' || technology(path) === technology(target) // No adapter leans on another's technology.
        : allowed[part]?.includes(to) || (type !== undefined && typesOnly[part]?.includes(to))
    if (!fine || target.startsWith('..')) found.push(`${path} → ${target}`)
  }
  return found
}

const sources = (folder: string): string[] =>
  readdirSync(folder).flatMap(name => {
    const path = join(folder, name)
    return statSync(path).isDirectory() ? sources(path) : name.endsWith('.ts') ? [path] : []
  })

t.test('imports keep the directions of the layout', async t => {
  for (const path of sources(src)) {
    const name = relative(src, path)
    t.same(violations(name, readFileSync(path, 'utf8')), [], name)
  }
})

t.test('an import that breaks them is found', async t => {
  const cases: [path: string, line: string, broken: boolean][] = [
    ['events/a.ts', "import { b } from '../commands/b.ts'", true],
    ['commands/a.ts', "import type { b } from '../infra/nats/b.ts'", true],
    ['commands/a.ts', "const b = await import('../edge/b.ts')", true],
    ['commands/a.ts', "export * from '../events/b.ts'", false],
    ['infra/nats/a.ts', "import { b } from '../sqlite/b.ts'", true],
    ['infra/nats/a.ts', "import { b } from './b.ts'", false],
    ['client/a.ts', "import { b } from '../events/b.ts'", true],
    ['client/a.ts', "import type { b } from '../events/b.ts'", false],
    ['edge/web/a.ts', "import { b } from '../../client/b.ts'", false],
    ['edge/web/a.ts', "import { b } from '../session.ts'", true],
    ['edge/a.ts', "import {\n  b,\n} from '../infra/uws/b.ts'", true],
    ['events/a.ts', "import { b } from '../../bench/b.ts'", true],
  ]
  for (const [path, line, broken] of cases)
    t.equal(violations(path, line).length > 0, broken, `${path}: ${line}`)
})

t.test('every folder of src has its place in the layout', async t => {
  for (const name of readdirSync(src)) t.ok(name in allowed || name.endsWith('.ts'), name)
})
