import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { alignedTable } from './markdown.ts'

const introduction = `# Chart of confab

<!-- Generated from values.yaml by scripts/generate-docs.ts. Do not edit. -->

Runs edge nodes, commands nodes and projection workers on Kubernetes 1.30 or later, with Helm 3 or 4.
[docs/operations/kubernetes.md](../../../docs/operations/kubernetes.md) says how to install, upgrade and scale.
[examples/](examples) has the smallest values, and values with everything on.

\`values.schema.json\` refuses unknown values. The values of \`commands\` and \`projections\` are those of \`edge\`, without
\`service\` and \`grpc\`.

`

const valuesFile = join(import.meta.dirname, '../../ops/helm/confab/values.yaml')

/** One value of the chart, with the comment above it. */
export interface ChartValue {
  /** Dotted key: `edge.replicas`. */
  readonly key: string
  readonly default: unknown
  readonly doc: string
}

/** Reads the values of values.yaml that a comment with `--` explains. */
export const chartValues = (): readonly ChartValue[] => {
  const text = readFileSync(valuesFile, 'utf8')
  const all: unknown = parse(text)
  const found: ChartValue[] = []
  const parents: { indent: number; key: string }[] = []
  let doc: string[] | undefined
  for (const line of text.split('\n')) {
    const comment = /^ *# (?:(-- )?)(.*)$/.exec(line)
    if (comment !== null) {
      if (comment[1] !== undefined) doc = [comment[2]!]
      else doc?.push(comment[2]!)
      continue
    }
    const [, indent = '', name] = /^( *)([A-Za-z]\w*):/.exec(line) ?? []
    if (name !== undefined) {
      while ((parents.at(-1)?.indent ?? -1) >= indent.length) parents.pop()
      parents.push({ indent: indent.length, key: name })
      const path = parents.map(({ key }) => key)
      const value = path.reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], all)
      if (doc !== undefined) found.push({ key: path.join('.'), default: value, doc: doc.join(' ') })
    }
    doc = undefined
  }
  return found
}

const shown = (value: unknown): string => `\`${JSON.stringify(value)}\``

export const path = 'ops/helm/confab/README.md'

/** The table of the chart's values. */
export const generate = (): string =>
  introduction +
  alignedTable(
    ['Key', 'Default', 'Meaning'],
    chartValues().map(({ key, default: value, doc }) => [`\`${key}\``, shown(value), doc]),
  )
