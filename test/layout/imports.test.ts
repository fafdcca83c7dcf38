import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { parseSync } from 'oxc-parser'
import t from 'tap'

const src = resolve(import.meta.dirname, '../../src')

/** The parts of src that each part may import, besides itself. Lowest first, so imports only point up this list. */
const allowed: Record<string, readonly string[]> = {
  base: [],
  events: ['base'],
  commands: ['base', 'events'],
  projections: ['base', 'events'],
  media: ['base', 'events'],
  audit: ['base', 'events'],
  edge: ['base', 'events', 'commands', 'projections', 'media'],
  infra: ['base', 'events', 'commands', 'projections', 'media', 'audit', 'edge'],
  app: ['base', 'events', 'commands', 'projections', 'media', 'audit', 'edge', 'infra'],
  client: [],
  cli: ['base', 'events', 'commands', 'projections', 'media', 'audit', 'client', 'infra', 'app'],
  web: ['client'],
}

/** Browsers load these parts as they are, so they may import only types from elsewhere. */
const typesOnly: Record<string, readonly string[]> = { client: ['events'], web: ['events'] }

/**
 * The folders of the edge, lowest first: a folder imports itself and lower ones. Folders on one line do not import each
 * other.
 */
const edgeLayers: readonly (readonly string[])[] = [
  ['ports'],
  ['limits'],
  ['access'],
  ['sessions'],
  ['delivery'],
  ['catch-up', 'presence', 'signals'],
  ['requests'],
  ['transports'],
]

/** Other parts reach these through their doors only: `index.ts`, or a file in `ports/`. */
const doorsOnly: readonly string[] = ['commands', 'projections', 'media', 'audit', 'edge']

interface Import {
  /** Relative to src. */
  readonly target: string
  readonly isType: boolean
}

/** The imports and re-exports of a file, with paths relative to src; packages are left out. */
const importsOf = (path: string, text: string): Import[] => {
  const { module, errors } = parseSync(path, text)
  if (errors.length > 0) throw new Error(`${path}: ${errors[0]!.message}`)
  const found: { readonly spec: string; readonly isType: boolean }[] = [
    ...module.staticImports.map(({ moduleRequest, entries }) => ({
      spec: moduleRequest.value,
      isType: entries.length > 0 && entries.every(({ isType }) => isType),
    })),
    ...module.staticExports.flatMap(({ entries }) =>
      entries.flatMap(({ moduleRequest, isType }) =>
        moduleRequest ? [{ spec: moduleRequest.value, isType }] : [],
      ),
    ),
    ...module.dynamicImports.map(({ moduleRequest: { start, end } }) => ({
      spec: text.slice(start + 1, end - 1),
      isType: false,
    })),
  ]
  return found
    .filter(({ spec }) => spec.startsWith('.'))
    .map(({ spec, isType }) => ({ target: relative(src, resolve(src, dirname(path), spec)), isType }))
}

/** The files beside the folders assemble an edge node: they are above all layers, and import each other. */
const layerOf = (path: string): number => {
  const folder = path.split('/')[1]!
  return folder.endsWith('.ts') ? edgeLayers.length : edgeLayers.findIndex(names => names.includes(folder))
}

const isAssembly = (...paths: readonly string[]): boolean =>
  paths.every(path => layerOf(path) === edgeLayers.length)

const isAllowed = (path: string, { target, isType }: Import): boolean => {
  const [part = '', folder] = path.split('/')
  const [to = '', targetFolder = ''] = target.split('/')
  if (target.startsWith('..')) return false
  if (part === to) {
    // No adapter depends on the technology of another. The configuration composes their tables of options.
    if (part === 'infra')
      return folder === targetFolder || (folder === 'config' && /\boptions\.ts$/.test(target))
    if (part === 'edge')
      return folder === targetFolder || layerOf(target) < layerOf(path) || isAssembly(target, path)
    return true
  }
  if (!allowed[part]?.includes(to)) return isType && typesOnly[part]?.includes(to) === true
  return !doorsOnly.includes(to) || targetFolder === 'index.ts' || targetFolder === 'ports'
}

/** Imports of a file that break the layout. */
const violations = (path: string, text: string): string[] =>
  importsOf(path, text)
    .filter(found => !isAllowed(path, found))
    .map(({ target }) => `${path} → ${target}`)

const sources = (folder: string): string[] =>
  readdirSync(folder).flatMap(name => {
    const path = join(folder, name)
    return statSync(path).isDirectory() ? sources(path) : name.endsWith('.ts') ? [path] : []
  })

/** Circles of files; each is listed once, by the path that closes it. */
const circles = (graph: ReadonlyMap<string, readonly string[]>): string[] => {
  const found: string[] = []
  const state = new Map<string, 'open' | 'done'>()
  const visit = (path: string, trail: readonly string[]): void => {
    if (state.get(path) === 'done') return
    if (state.get(path) === 'open') {
      found.push([...trail.slice(trail.indexOf(path)), path].join(' → '))
      return
    }
    state.set(path, 'open')
    for (const target of graph.get(path) ?? []) visit(target, [...trail, path])
    state.set(path, 'done')
  }
  for (const path of graph.keys()) visit(path, [])
  return found
}

const texts = new Map(sources(src).map(path => [relative(src, path), readFileSync(path, 'utf8')]))

t.test('imports keep the directions of the layout', async t => {
  for (const [path, text] of texts) t.same(violations(path, text), [], path)
})

t.test('no files import each other in a circle, types included', async t => {
  const graph = new Map(
    [...texts].map(([path, text]) => [path, importsOf(path, text).map(one => one.target)]),
  )
  t.same(circles(graph), [])
})

t.test('a circle is found', async t => {
  const graph = new Map([
    ['a', ['b']],
    ['b', ['c', 'd']],
    ['c', ['a']],
    ['d', []],
  ])
  t.same(circles(graph), ['a → b → c → a'])
})

t.test('an import that breaks the layout is found', async t => {
  const cases: [path: string, line: string, broken: boolean][] = [
    ['base/a.ts', "import type { b } from '../events/b.ts'", true],
    ['events/a.ts', "import { b } from '../commands/index.ts'", true],
    ['commands/bus/a.ts', "import type { b } from '../../infra/nats/b.ts'", true],
    ['commands/bus/a.ts', "const b = await import('../../edge/index.ts')", true],
    ['commands/bus/a.ts', "export * from '../../events/b.ts'", false],
    ['commands/bus/a.ts', "import { b } from '../states/b.ts'", false],
    ['infra/nats/a.ts', "import { b } from '../sqlite/b.ts'", true],
    ['infra/nats/feed/a.ts', "import { b } from '../log/b.ts'", false],
    ['infra/config/a.ts', "import { b } from '../s3/options.ts'", false],
    ['infra/config/a.ts', "import { b } from '../s3/s3-media.ts'", true],
    ['infra/nats/a.ts', "import { b } from '../s3/options.ts'", true],
    ['infra/nats/a.ts', "import { b } from '../../commands/index.ts'", false],
    ['infra/nats/a.ts', "import { b } from '../../commands/ports/b.ts'", false],
    ['infra/nats/a.ts', "import type { b } from '../../commands/bus/b.ts'", true],
    ['edge/sessions/a.ts', "import { b } from '../limits/b.ts'", false],
    ['edge/sessions/a.ts', "import { type b } from '../delivery/b.ts'", true],
    ['edge/signals/a.ts', "import { b } from '../catch-up/b.ts'", true],
    ['edge/signals/a.ts', "import type { b } from '../edge-options.ts'", true],
    ['edge/start-edge.ts', "import { b } from './transports/b.ts'", false],
    ['client/a.ts', "import { b } from '../events/b.ts'", true],
    ['client/a.ts', "import type { b } from '../events/b.ts'", false],
    ['web/a.ts', "import { b } from '../client/b.ts'", false],
    ['web/a.ts', "import { b } from '../edge/index.ts'", true],
    ['app/a.ts', "import {\n  b,\n} from '../infra/uws/b.ts'", false],
    ['cli/a.ts', "import { b } from '../edge/index.ts'", true],
    ['events/a.ts', "import { b } from '../../bench/b.ts'", true],
  ]
  for (const [path, line, broken] of cases)
    t.equal(violations(path, line).length > 0, broken, `${path}: ${line}`)
})

t.test('every folder of src has its place in the layout', async t => {
  t.same(readdirSync(src).sort(), Object.keys(allowed).sort())
  const folders = readdirSync(join(src, 'edge'), { withFileTypes: true }).filter(entry => entry.isDirectory())
  t.same(folders.map(({ name }) => name).sort(), edgeLayers.flat().sort())
})
