import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import t from 'tap'
import { parse, stringify } from 'yaml'
import { ConversationRequests, ErrorRegistry } from '../../src/events/index.ts'
import {
  createAuditMetrics,
  createBackupMetrics,
  createCertificateMetrics,
  createCommandMetrics,
  createEdgeMetrics,
  createFeedMetrics,
  createProjectionMetrics,
  createRegistry,
  createRemoteMetrics,
  createStorageMetrics,
} from '../../src/infra/telemetry/index.ts'
import { tempFolder } from '../harness/temp-folder.ts'

interface Rule {
  readonly record?: string
  readonly alert?: string
  readonly expr: string
}

const ops = resolve(import.meta.dirname, '../../ops')
const alertsFile = join(ops, 'prometheus/alerts.yaml')
const { groups } = parse(readFileSync(alertsFile, 'utf8')) as { groups: { rules: Rule[] }[] }
const rules = groups.flatMap(group => group.rules)
const dashboard = JSON.parse(readFileSync(join(ops, 'grafana/confab.json'), 'utf8')) as {
  panels: { title: string; targets: { expr: string }[] }[]
}
const panels = dashboard.panels.flatMap(({ title, targets }) => targets.map(({ expr }) => ({ title, expr })))
const uses = [...rules.map(({ expr, alert, record }) => ({ title: alert ?? record, expr })), ...panels]

/** Returns every metric of any confab process with its possible labels. */
const known = async (): Promise<Map<string, Set<string>>> => {
  const registry = createRegistry()
  createEdgeMetrics(registry, () => 0)
  createAuditMetrics(registry, () => ({ stored: 0, failed: 0, refused: 0 }))
  createCommandMetrics(registry, () => 0)
  createFeedMetrics(registry, () => ({ isNarrow: false, conversations: 0, delivered: 0, skipped: 0 }))
  createRemoteMetrics(registry, { open: 0, resent: 0, isServed: true })
  createProjectionMetrics(registry, () => [])
  createStorageMetrics(registry, () => ({ state: 'free', free: 0 }))
  createCertificateMetrics(registry, () => [])
  createBackupMetrics(registry, () => ({
    newest: 0,
    seconds: 0,
    bytes: 0,
    done: 0,
    failed: 0,
    maxAgeMs: 0,
  }))
  const names = new Map<string, Set<string>>()
  for (const { name, type } of await registry.getMetricsAsJSON()) {
    const { labelNames } = registry.getSingleMetric(name) as unknown as { labelNames: string[] }
    for (const suffix of String(type) === 'histogram' ? ['_bucket', '_count', '_sum'] : ['']) {
      const more = suffix === '_bucket' ? ['le'] : []
      names.set(`${name}${suffix}`, new Set([...labelNames, ...more, 'instance', 'job']))
    }
  }
  return names
}

t.test('rules and dashboard use existing metrics and labels', async t => {
  const names = await known()
  const recorded = new Set(rules.flatMap(({ record }) => record ?? []))
  let seen = 0
  for (const { title, expr } of uses)
    for (const [, name, selector = ''] of expr.matchAll(
      /\b((?:confab|nodejs|process)[_:][a-z0-9_:]+)(?:\{([^}]*)\})?/g,
    )) {
      seen++
      if (recorded.has(name!)) continue
      const labels = names.get(name!)
      t.ok(labels !== undefined, `${title}: ${name}`)
      for (const [, label] of selector.matchAll(/([a-z_]+)(?:=|!=|=~|!~)"/g))
        t.ok(labels?.has(label!), `${title}: ${name}{${label}}`)
    }
  t.ok(seen > 60, `${seen} uses`)
})

t.test('the objectives’ bounds are histogram bounds', async t => {
  const registry = createRegistry()
  const metrics = createEdgeMetrics(registry)
  metrics.answered('send', 'ok', 0.1)
  metrics.answered('history', 'ok', 0.1)
  metrics.delivered(1, 0.1, {} as never)
  const text = await registry.metrics()
  const wanted = new Set(
    rules.flatMap(({ expr }) =>
      [...expr.matchAll(/(confab_\w+_bucket)\{.*?(le="[\d.]+")/g)].map(([, name, le]) => `${name} ${le}`),
    ),
  )
  t.equal(wanted.size, 3)
  for (const one of wanted) {
    const [name, le] = one.split(' ') as [string, string]
    t.ok(
      text.split('\n').some(line => line.startsWith(`${name}{`) && line.includes(le)),
      one,
    )
  }
})

t.test('types and codes in the rules are those of the protocol', async t => {
  const failures = Object.entries(ErrorRegistry)
    .filter(([, { status }]) => status >= 500)
    .map(([code]) => code)
  const text = rules.map(({ expr }) => expr).join('\n')
  const outcomes = new Set([...text.matchAll(/outcome=~"([^"]+)"/g)].map(([, codes]) => codes))
  t.same(
    [...outcomes].map(codes => codes?.split('|').sort()),
    [failures.sort()],
    'failures are those of status 500 and above',
  )
  const types = new Set([...text.matchAll(/type=~"([^"]+)"/g)].map(([, list]) => list))
  t.same(
    new Set([...types].map(list => list?.split('|').sort().join('|'))),
    new Set([['direct', ...Object.keys(ConversationRequests)].sort().join('|'), 'history']),
    'acks are those of all commands on conversations',
  )
})

t.test('each alert is explained for operators', async t => {
  const page = readFileSync(resolve(ops, '../docs/operations.md'), 'utf8')
  for (const { alert } of rules) if (alert !== undefined) t.match(page, new RegExp(`\`${alert}\``), alert)
})

/** On the path, or where Go installs it. */
const findPromtool = (): string | undefined => {
  for (const command of ['promtool', join(homedir(), 'go/bin/promtool')])
    try {
      execFileSync(command, ['--version'], { stdio: 'ignore' })
      return command
    } catch {
      // Not this one.
    }
  return undefined
}

const promtool = findPromtool()

t.test(
  'promtool accepts the rules and the dashboard’s queries, and the rules pass their tests',
  { skip: promtool === undefined ? 'there is no promtool here' : false },
  async t => {
    const run = (...args: string[]) => execFileSync(promtool!, args, { encoding: 'utf8', stdio: 'pipe' })
    t.match(run('check', 'rules', alertsFile), /SUCCESS/)
    t.match(run('test', 'rules', join(ops, 'prometheus/alerts.test.yaml')), /SUCCESS/)
    const queries = panels.map(({ expr }, n) => ({
      record: `panel:query_${n}:value`,
      expr: expr.replaceAll('$__rate_interval', '5m'),
    }))
    const file = join(tempFolder(t), 'panels.yaml')
    writeFileSync(file, stringify({ groups: [{ name: 'panels', rules: queries }] }))
    t.match(run('check', 'rules', file), new RegExp(`SUCCESS: ${queries.length} rules`))
  },
)
