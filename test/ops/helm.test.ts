import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parse, stringify } from 'yaml'
import { optionsOfChart, variablesOfSecrets } from '../../scripts/generate/helm-values.ts'
import { stopTimeoutOf } from '../../src/app/lifecycle.ts'
import { variableOf } from '../../src/base/option.ts'
import { allOptions, type ConfabConfig, compileConfig, options } from '../../src/infra/config/index.ts'
import { type ConfabProcess, spawnConfab, untilReady } from '../harness/confab-process.ts'
import {
  type Container,
  chart,
  checkObjects,
  checkOperatorObjects,
  example,
  helm,
  kubernetesVersions,
  type Labels,
  type Manifest,
  manifestsIn,
  missingTools,
  type PodTemplate,
  render,
  rendered,
  root,
} from '../harness/kubernetes-tools.ts'
import { startNats } from '../harness/nats.ts'
import { tempFolder } from '../harness/temp-folder.ts'

const skip = missingTools() ?? false
const roles = ['edge', 'commands', 'projections'] as const
const secret = randomBytes(32).toString('base64url')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

/** Values with every switch the other way round than the default. */
const variants: Readonly<Record<string, readonly (string | object)[]>> = {
  minimal: [example('minimal')],
  production: [example('production')],
  'everything off': [
    example('minimal'),
    {
      serviceAccount: { create: false },
      networkPolicy: { enabled: false },
      migrate: { enabled: false },
      ...Object.fromEntries(
        roles.map(role => [role, { replicas: 1, topologySpread: [], resources: {}, preStopSeconds: 0 }]),
      ),
    },
  ],
  'other names, IPv6, node ports, pinned images': [
    example('minimal'),
    {
      // The longest name that the schema accepts.
      fullnameOverride: 'n'.repeat(50),
      nameOverride: 'chat',
      listenAddress: '::',
      image: { digest: `sha256:${'0'.repeat(64)}` },
      serviceAccount: { create: false, name: 'chat' },
      edge: { service: { type: 'NodePort' }, maxUnavailable: '25%', grpc: true },
    },
  ],
}
const podsOf = (manifests: readonly Manifest[]): { manifest: Manifest; template: PodTemplate }[] =>
  manifests.flatMap(manifest => {
    const spec = manifest.kind === 'CronJob' ? manifest.spec?.jobTemplate.spec : manifest.spec
    const template = spec?.template as PodTemplate | undefined
    return template === undefined ? [] : [{ manifest, template }]
  })

const containersOf = ({ spec }: PodTemplate): readonly Container[] => [
  ...(spec.initContainers ?? []),
  ...spec.containers,
]

const ofKind = (manifests: readonly Manifest[], kind: string): readonly Manifest[] =>
  manifests.filter(manifest => manifest.kind === kind)

const named = (manifests: readonly Manifest[], kind: string, name: string): Manifest => {
  const found = ofKind(manifests, kind).find(({ metadata }) => metadata.name === name)
  if (found === undefined) throw new Error(`no ${kind} ${name}`)
  return found
}

const selects = (selector: Labels, labels: Labels): boolean =>
  Object.entries(selector).every(([label, value]) => labels[label] === value)

/** Returns the variables of a container, with files of a folder in place of those of the pod. */
const environmentOf = (
  manifests: readonly Manifest[],
  { spec }: PodTemplate,
  container: Container,
  folder: string,
  secretOf: (variable: string) => string,
): Record<string, string> => {
  const configMap = spec.volumes.find(({ name }) => name === 'config')?.configMap?.name ?? ''
  const secrets = join(folder, 'secrets')
  mkdirSync(secrets, { recursive: true })
  const env: Record<string, string> = {}
  for (const { name, value } of container.env) {
    if (value === undefined) env[name] = secretOf(name)
    else if (name === 'CONFAB_CONFIG') {
      env[name] = join(folder, `${configMap}.yaml`)
      const mount = container.volumeMounts.find(one => value.startsWith(`${one.mountPath}/`))
      if (mount?.name !== 'config') throw new Error(`${value} is not in the volume of the ConfigMap`)
      const file = value.slice(mount.mountPath.length + 1)
      writeFileSync(env[name], named(manifests, 'ConfigMap', configMap).data![file]!)
    } else if (name.endsWith('_FILE')) {
      env[name] = join(secrets, name)
      writeFileSync(env[name], `${secretOf(name.slice(0, -'_FILE'.length))}\n`)
    } else env[name] = value
  }
  return env
}

/** A valid value of each secret. */
const anySecret = (variable: string): string =>
  variable === 'CONFAB_NATS' ? `nats://confab:${secret}@nats:4222` : secret

t.test('the chart has the version of confab, and documents each value', async t => {
  const { version } = JSON.parse(read('package.json')) as { version: string }
  t.match(parse(read('ops/helm/confab/Chart.yaml')), { version, appVersion: version })

  const readme = read('ops/helm/confab/README.md')
  const documented = new Set([...readme.matchAll(/^\| `([\w.]+)`/gm)].map(([, key]) => key!))
  // The values of the other roles are those of edge.
  const isDocumented = (path: string): boolean =>
    documented.has(path.replace(/^(commands|projections)\./, 'edge.'))
  const undocumented = (value: unknown, path: string): string[] => {
    if (isDocumented(path)) return []
    const levels = typeof value === 'object' && value !== null ? Object.entries(value) : []
    return levels.length === 0
      ? [path]
      : levels.flatMap(([key, one]) => undocumented(one, path === '' ? key : `${path}.${key}`))
  }
  t.same(undocumented(parse(read('ops/helm/confab/values.yaml')), ''), [])
  t.ok(documented.size > 60, `${documented.size} values`)
})

t.test('helm accepts the chart, and refuses values without servers or keys', { skip }, async t => {
  const temp = tempFolder(t)
  const { failed, output } = helm(['lint', '--strict', chart, '-f', example('minimal')])
  t.notOk(failed, output)
  const minimal = parse(readFileSync(example('minimal'), 'utf8')) as { config: object; secrets: object }
  t.match(render(temp, {}), /config\.nats\.servers is not set/, 'without values')
  for (const key of ['nats', 'cassandra', 'elasticsearch', 's3'])
    t.match(
      render(temp, { ...minimal, config: { ...minimal.config, [key]: {} } }),
      new RegExp(`config\\.${key}\\.\\w+ is not set: pods share no data folder`),
      key,
    )
  t.match(render(temp, { ...minimal, secrets: {} }), /edge nodes have no key to verify tokens/)
  t.match(render(temp, minimal, { ingress: { enabled: true } }), /ingress\.hosts is empty/)
  t.match(
    render(temp, minimal, { edge: { autoscaling: { enabled: true, cpuUtilization: 0 } } }),
    /edge\.autoscaling has no signal/,
  )
  t.match(
    render(temp, minimal, { commands: { autoscaling: { enabled: true, minReplicas: 9 } } }),
    /commands\.autoscaling: minReplicas must not be more than maxReplicas/,
  )
})

t.test('the schema names every wrong value', { skip }, async t => {
  const temp = tempFolder(t)
  /** Asserts that helm refuses the values, and names each place. */
  const refuses = (values: object, places: readonly string[]): void => {
    const output = render(temp, example('minimal'), values)
    if (typeof output !== 'string') return void t.fail('the values are accepted')
    for (const place of places) t.ok(output.includes(`'${place}'`), `${place}\n${output}`)
  }
  const nested = (key: string, value: unknown): object =>
    key.split('.').reduceRight<unknown>((inner, part) => ({ [part]: inner }), value) as object
  const merged = (all: readonly object[]): object => {
    const merge = (a: Record<string, unknown>, b: object): Record<string, unknown> => {
      for (const [key, value] of Object.entries(b))
        a[key] =
          typeof value === 'object' && typeof a[key] === 'object'
            ? merge(a[key] as Record<string, unknown>, value)
            : value
      return a
    }
    return all.reduce<Record<string, unknown>>(merge, {})
  }

  const ofChart = render(temp, example('minimal'), {
    config: merged(optionsOfChart.map(({ key = '' }) => nested(key, 1))),
  })
  for (const { key = '' } of optionsOfChart)
    t.ok(
      key
        .split('.')
        .some(part => new RegExp(`additional properties .*'${part}'.* not allowed`).test(String(ofChart))),
      `${key}\n${ofChart}`,
    )

  const secrets = allOptions.filter(({ secret }) => secret !== undefined)
  t.ok(secrets.length >= 10, `${secrets.length} secrets`)
  refuses(
    { config: merged(secrets.map(({ key = '' }) => nested(key, `https://user:${secret}@host`))) },
    secrets.map(({ key = '' }) => `/config/${key.replaceAll('.', '/')}`),
  )
  const output = render(temp, example('minimal'), { config: { jwt: { sekret: secret } } })
  t.match(output, /additional properties 'sekret' not allowed/)

  const wrong: Readonly<Record<string, unknown>> = {
    'config.drain': 10,
    'config.edge.hello': '10 seconds',
    'config.edge.inFlight': 'many',
    'config.edge.backpressure': '4M',
    'config.edge.corsOrigins': [],
    'config.jwt.requireExpiry': 'yes',
    'image.pullPolicy': 'Sometimes',
    'image.digest': 'sha256:1',
    'image.tag': 'a tag',
    listenAddress: '10.0.0.1',
    'edge.replicas': -1,
    'commands.replicas': '2',
    'projections.maxUnavailable': 0,
    'edge.preStopSeconds': 1.5,
    'edge.autoscaling.metrics': { confab_edge_connections: 20_000 },
    'edge.topologySpread': [{ whenUnsatisfiable: 'ScheduleAnyway' }],
    'edge.service.port': 65_536,
    'edge.service.type': 'ExternalName',
    'networkPolicy.admin': {},
    'ingress.hosts': 'chat.example.com',
    'monitoring.serviceMonitor.interval': 30,
    'migrate.activeDeadlineSeconds': 0,
    'backup.tmpSize': '10G',
  }
  refuses(
    merged(Object.entries(wrong).map(([key, value]) => nested(key, value))),
    Object.keys(wrong).map(key => {
      const place = `/${key.replaceAll('.', '/')}`
      if (key.endsWith('.metrics')) return `${place}/confab_edge_connections`
      return key.endsWith('.topologySpread') ? `${place}/0` : place
    }),
  )
  t.match(
    render(temp, example('minimal'), { secrets: { CONFAB_DRAIN: { name: 'a', key: 'b' } } }),
    /CONFAB_DRAIN/,
  )
  t.match(render(temp, example('minimal'), { secrets: { CONFAB_JWT_SECRET: secret } }), /CONFAB_JWT_SECRET/)
})

for (const [title, values] of Object.entries(variants))
  t.test(`${title}: the objects are valid and belong together`, { skip }, async t => {
    const temp = tempFolder(t)
    const all = rendered(temp, ...values)
    for (const version of kubernetesVersions) t.doesNotThrow(() => checkObjects(temp, version, all), version)
    const monitored = await checkOperatorObjects(all)
    t.equal(monitored, title === 'production' ? 2 : 0, 'objects of Prometheus’ operator')
    t.same(ofKind(all, 'Secret'), [], 'the chart creates no Secret')
    const names = all.map(({ kind, metadata }) => `${kind} ${metadata.name}`)
    t.equal(new Set(names).size, names.length, 'names are unique')
    for (const { metadata } of all) t.ok(metadata.name.length <= 63, metadata.name)

    const pods = podsOf(all)
    const processes = pods.filter(({ manifest }) => manifest.kind === 'Deployment')
    t.equal(processes.length, 3)
    for (const { manifest, template } of processes) {
      t.ok(selects(manifest.spec.selector.matchLabels, template.metadata.labels), manifest.metadata.name)
      for (const { labelSelector } of template.spec.topologySpreadConstraints ?? [])
        t.ok(selects(labelSelector.matchLabels, template.metadata.labels), 'topology spread')
      const others = pods.filter(one => one.manifest !== manifest)
      for (const { template: other } of others)
        t.notOk(selects(manifest.spec.selector.matchLabels, other.metadata.labels), 'only its own pods')
    }

    /** Roles of the pods that a selector selects. */
    const selected = (selector: Labels): (string | undefined)[] =>
      pods
        .filter(({ template }) => selects(selector, template.metadata.labels))
        .map(({ template }) => template.metadata.labels['app.kubernetes.io/component'])
    const [edgeService, adminService] = ofKind(all, 'Service') as [Manifest, Manifest]
    t.same(selected(edgeService.spec.selector), ['edge'])
    t.same(selected(adminService.spec.selector), [...roles], 'no pod of the Job')
    t.equal(adminService.spec.clusterIP, 'None', 'the admin listeners have no address outside')
    for (const { spec } of [edgeService, adminService])
      for (const { targetPort } of spec.ports)
        for (const { template } of pods.filter(one => selects(spec.selector, one.template.metadata.labels)))
          t.ok(
            template.spec.containers[0]?.ports?.some(({ name }) => name === targetPort),
            `${targetPort} is a port of the pod`,
          )
    t.notOk(
      edgeService.spec.ports.some(({ targetPort }: { targetPort: string }) => targetPort === 'admin'),
      'clients cannot reach the admin listener',
    )
    for (const { spec } of ofKind(all, 'PodDisruptionBudget'))
      t.equal(selected(spec.selector.matchLabels).length, 1)
    t.equal(ofKind(all, 'PodDisruptionBudget').length, 3)
    for (const { spec } of ofKind(all, 'HorizontalPodAutoscaler')) {
      const target = named(all, 'Deployment', spec.scaleTargetRef.name)
      t.notOk('replicas' in target.spec, 'the autoscaler sets the number')
    }
    for (const { spec } of ofKind(all, 'NetworkPolicy')) {
      const ports = (spec.ingress as { ports: { port: number }[] }[]).flatMap(rule => rule.ports)
      const isEdge = 'app.kubernetes.io/component' in spec.podSelector.matchLabels
      t.equal(selected(spec.podSelector.matchLabels).length, isEdge ? 1 : pods.length)
      for (const { port } of ports)
        t.equal(port === 9080, !isEdge, `${port} is open to the peers of ${isEdge ? 'clients' : 'admin'}`)
    }
    for (const { spec } of ofKind(all, 'Ingress'))
      for (const { http } of spec.rules)
        for (const { backend } of http.paths) t.equal(backend.service.name, edgeService.metadata.name)
    for (const { spec } of ofKind(all, 'ServiceMonitor')) {
      const found = ofKind(all, 'Service').filter(one =>
        selects(spec.selector.matchLabels, one.metadata.labels),
      )
      t.same(found, [adminService])
      t.match(spec.endpoints, [{ port: adminService.spec.ports[0].name, path: '/metrics' }])
    }

    for (const { manifest, template } of pods) {
      const { spec } = template
      const { name } = manifest.metadata
      for (const container of containersOf(template)) {
        for (const mount of container.volumeMounts)
          t.ok(
            spec.volumes.some(volume => volume.name === mount.name),
            `${name}: volume ${mount.name}`,
          )
        const data = container.env.find(one => one.name === 'CONFAB_DATA')?.value ?? ''
        t.ok(
          container.volumeMounts.some(
            ({ name, mountPath }) => name === 'data' && data.startsWith(`${mountPath}/`),
          ),
          'the data folder is in a volume, and confab creates it with its own mode',
        )
        const config = compileConfig({
          env: environmentOf(all, template, container, temp, anySecret),
          cwd: temp,
        })
        t.equal(
          config.natsServers?.length ? config.s3.bucket : '',
          'confab-media',
          `${name} ${container.name}`,
        )
        if (manifest.kind !== 'Deployment') continue
        const role = template.metadata.labels['app.kubernetes.io/component']
        t.same(config.roles, [role])
        const ports = Object.fromEntries(
          (container.ports ?? []).map(({ name, containerPort }) => [name, containerPort]),
        )
        t.equal(ports.admin, config.adminPort)
        t.equal(ports.http, role === 'edge' ? config.port : undefined)
        t.equal(ports.grpc, role === 'edge' ? config.grpcPort : undefined)
        const everywhere = title.includes('IPv6') ? '::' : '0.0.0.0'
        t.equal(config.adminHost, everywhere, 'probes and Prometheus reach the admin listener')
        t.equal(config.host, role === 'edge' ? everywhere : '127.0.0.1')
        for (const probe of [container.startupProbe, container.readinessProbe, container.livenessProbe])
          t.equal(probe?.httpGet.port, 'admin')
      }
    }

    const hooks = all.filter(({ metadata }) => metadata.annotations?.['helm.sh/hook'] !== undefined)
    t.equal(hooks.length, title === 'everything off' ? 0 : 2)
    for (const { metadata } of hooks)
      t.equal(metadata.annotations?.['helm.sh/hook'], 'pre-install,pre-upgrade')
    for (const { manifest, template } of pods.filter(one => one.manifest.kind === 'Job')) {
      const configMaps = template.spec.volumes.flatMap(({ configMap }) => configMap?.name ?? [])
      const own = hooks.filter(
        ({ kind, metadata }) => kind === 'ConfigMap' && configMaps.includes(metadata.name),
      )
      t.equal(own.length, 1, 'the ConfigMap of the Job exists before the first installation')
      const weight = (one: Manifest): number => Number(one.metadata.annotations?.['helm.sh/hook-weight'])
      t.ok(weight(own[0]!) < weight(manifest), 'the ConfigMap is created before the Job')
      t.notOk('serviceAccountName' in template.spec, 'the service account does not exist yet')
      t.same(
        containersOf(template).map(({ args }) => args),
        [
          ['streams', 'apply'],
          ['stores', 'migrate'],
        ],
      )
    }
  })

t.test('a CronJob takes backups; it alone has the key and the user of NATS for them', { skip }, async t => {
  const manifests = rendered(tempFolder(t), example('production'))
  const job = named(manifests, 'CronJob', 'confab-backup')
  t.equal(job.spec.concurrencyPolicy, 'Forbid')
  const variable = { name: 'CONFAB_BACKUP_KEY', value: '/run/secrets/confab-backup/key' }
  for (const { manifest, template } of podsOf(manifests)) {
    const isBackup = manifest.kind === 'CronJob'
    const { volumes } = template.spec
    const { name } = manifest.metadata
    t.equal(
      volumes.some(volume => volume.name === 'backup-key'),
      isBackup,
      name,
    )
    for (const { args, env, volumeMounts } of containersOf(template)) {
      t.equal(
        env.some(one => one.name === 'CONFAB_BACKUP_KEY'),
        isBackup,
        name,
      )
      if (!isBackup) continue
      t.same(args, ['backup'])
      t.same(
        env.find(one => one.name === 'CONFAB_BACKUP_KEY'),
        variable,
      )
      t.ok(volumeMounts.some(({ mountPath }) => mountPath === '/run/secrets/confab-backup'))
    }
  }
  const inFolder = { config: { backup: { place: '/backups' } } }
  t.match(
    render(tempFolder(t), example('production'), inFolder),
    /backup\.enabled: set config\.backup\.place to s3:/,
  )
})

t.test('no pod has privileges, a token of Kubernetes, or variables of Services', { skip }, async t => {
  for (const [title, values] of Object.entries(variants))
    for (const { manifest, template } of podsOf(rendered(tempFolder(t), ...values))) {
      const { spec } = template
      const name = `${title}: ${manifest.metadata.name}`
      // The Services give their pods CONFAB_ADMIN_PORT=tcp://…, which confab would read as an option.
      t.equal(spec.enableServiceLinks, false, name)
      t.equal(spec.automountServiceAccountToken, false, name)
      t.match(spec.securityContext, { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } }, name)
      t.ok((spec.securityContext as { runAsUser: number }).runAsUser > 0, name)
      for (const container of containersOf(template)) {
        t.same(
          container.securityContext,
          {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
          name,
        )
      }
    }
})

t.test('every option reaches confab as it was written', { skip }, async t => {
  const temp = tempFolder(t)
  const config: Record<string, unknown> = parse(readFileSync(example('minimal'), 'utf8')).config
  let count = 0
  for (const option of allOptions) {
    const { key, type, default: value } = option
    if (key === undefined || value === undefined || optionsOfChart.includes(option)) continue
    const path = key.split('.')
    const last = path.pop()!
    let level = config
    for (const part of path) {
      level[part] ??= {}
      level = level[part] as Record<string, unknown>
    }
    const written = type.write?.(value) ?? value
    // Numbers of integers, so that helm reads them as numbers.
    level[last] =
      typeof written === 'string' && type.name === 'integer' ? Number(written) || written : written
    count++
  }
  t.ok(count > 100, `${count} options`)
  // Helm passes numbers through JSON.
  Object.assign((config.edge as { quotas: object }).quotas, { events: 1_000_000_000 })
  Object.assign(config.nats as object, { replicas: 5 })
  const all = rendered(temp, example('minimal'), { config })
  const file = join(temp, 'given.yaml')
  writeFileSync(file, stringify(config))
  const env = { CONFAB_JWT_SECRET: secret, AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: secret }
  const given = compileConfig({ file, env, cwd: temp })
  const pod = podsOf(all).find(({ manifest }) => manifest.metadata.name === 'confab-edge')!.template
  const received = compileConfig({
    env: environmentOf(all, pod, pod.spec.containers[0]!, temp, anySecret),
    cwd: temp,
  })
  const withoutChart = (compiled: ConfabConfig): object =>
    Object.fromEntries(
      Object.entries(compiled).filter(
        ([name]) => !optionsOfChart.includes(options[name as keyof typeof options]),
      ),
    )
  t.same(withoutChart(received), withoutChart(given))
})

t.test('pods have time for the whole drain', { skip }, async t => {
  const temp = tempFolder(t)
  const cases: readonly Readonly<Record<string, string>>[] = [
    {},
    { drain: '10m' },
    { drain: '0ms' },
    { drain: '1.5m' },
    { drain: '30500ms' },
    { drain: '10s', stopTimeout: '15m' },
    { stopTimeout: '1s', drain: '0s' },
  ]
  for (const config of cases) {
    const all = rendered(temp, example('minimal'), { config })
    const file = join(temp, 'drain.yaml')
    writeFileSync(file, stringify(config))
    const stopSeconds = Math.ceil(
      stopTimeoutOf(compileConfig(Object.keys(config).length === 0 ? { cwd: temp } : { file, cwd: temp })) /
        1_000,
    )
    for (const { manifest, template } of podsOf(all).filter(one => one.manifest.kind === 'Deployment')) {
      const isEdge = manifest.metadata.name.endsWith('-edge')
      t.equal(
        template.spec.terminationGracePeriodSeconds,
        stopSeconds + 5 + (isEdge ? 5 : 0),
        `${manifest.metadata.name}: ${JSON.stringify(config)}`,
      )
      t.equal(template.spec.containers[0]?.lifecycle !== undefined, isEdge, 'only clients follow a Service')
    }
  }
})

t.test('rules and dashboard are those of ops/', { skip }, async t => {
  const all = rendered(tempFolder(t), example('production'))
  t.same(ofKind(all, 'PrometheusRule')[0]?.spec, parse(read('ops/prometheus/alerts.yaml')))
  const dashboard = named(all, 'ConfigMap', 'confab-dashboard').data?.['confab.json'] ?? ''
  t.same(JSON.parse(dashboard), JSON.parse(read('ops/grafana/confab.json')))
  const jobs = new Set([...read('ops/prometheus/alerts.yaml').matchAll(/job="(\w+)"/g)].map(([, job]) => job))
  t.same([...jobs], ['confab'])
  t.match(ofKind(all, 'ServiceMonitor')[0]?.spec.endpoints[0].relabelings, [
    { targetLabel: 'job', replacement: 'confab' },
  ])
})

/** Values of the page for operators, and its commands: each with its lines joined. */
const pageParts = () => {
  const page = read('docs/operations/kubernetes.md')
  const blocks = [...page.matchAll(/^( *)```(\w+)\n(.*?)^ *```/gms)].map(
    ([, indent = '', language, text = '']) => ({
      language,
      text: text.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
    }),
  )
  const commands = blocks
    .filter(({ language }) => language === 'sh')
    .flatMap(({ text }) =>
      text
        .replaceAll(/\\\n\s*/g, '')
        .trim()
        .split('\n'),
    )
  return { values: blocks.find(({ language }) => language === 'yaml')!.text, commands, page }
}

/** The words of a command line, without quotes. */
const wordsOf = (command: string): string[] =>
  [...command.matchAll(/(?:'[^']*'|"[^"]*"|\S)+/g)].map(([word]) => word.replace(/^'(.*)'$/, '$1'))

t.test('the commands of the page work', { skip }, async t => {
  const { values, commands } = pageParts()
  const temp = tempFolder(t)
  const valuesFile = join(temp, 'values.yaml')
  writeFileSync(valuesFile, values)
  const upgrades: string[][] = []
  let ran = 0
  for (const command of commands) {
    const words = wordsOf(command).map(word => (word === 'values.yaml' ? valuesFile : word))
    const [program, verb, ...rest] = words
    if (program !== 'helm' || verb === 'uninstall') continue
    ran++
    if (verb !== 'upgrade') {
      const { failed, output } = helm(words.slice(1))
      t.notOk(failed, `${command}\n${output.slice(0, 2_000)}`)
      continue
    }
    // Without a cluster: render what would be installed.
    t.same(rest.slice(0, 3), ['--install', 'confab', 'ops/helm/confab'])
    t.match(rest.slice(3, 8), ['-f', valuesFile, '--wait', '--timeout', '15m'])
    const { failed, output } = helm(['template', ...rest.slice(1, 5), ...rest.slice(8)])
    t.notOk(failed, `${command}\n${output.slice(0, 2_000)}`)
    if (failed) continue
    const all = manifestsIn(output)
    t.doesNotThrow(() => checkObjects(temp, kubernetesVersions[1], all))
    const tags = podsOf(all).map(({ manifest, template }) => [
      manifest.metadata.name,
      [...new Set(containersOf(template).map(({ image }) => image.split(':').at(-1)))].join(),
    ])
    if (command.includes('image.tag')) upgrades.push(tags.map(([name, tag]) => `${name} ${tag}`).sort())
    if (command.includes('edge.replicas=4')) t.equal(named(all, 'Deployment', 'confab-edge').spec.replicas, 4)
  }
  t.ok(ran >= 8, `${ran} commands`)
  const step = (projections: string, edge: string, commands: string): string[] => [
    `confab-commands ${commands}`,
    `confab-edge ${edge}`,
    'confab-migrate 0.2.0',
    `confab-projections ${projections}`,
  ]
  t.same(
    upgrades,
    [step('0.2.0', '0.1.0', '0.1.0'), step('0.2.0', '0.2.0', '0.1.0'), step('0.2.0', '0.2.0', '0.2.0')],
    'projections, then edge, then commands',
  )

  const all = rendered(temp, valuesFile)
  for (const command of commands) {
    const [, kind, name] = /^kubectl (?:exec|rollout restart) (deployment)\/(\S+)/.exec(command) ?? []
    if (kind !== undefined) t.ok(named(all, 'Deployment', name!), command)
    const [, args] = / -- node bin\/confab\.js (.*)$/.exec(command) ?? []
    if (args !== undefined) t.ok(operatorCommands.has(args), `${args} is tried with real processes below`)
  }
  // The Secret that the page creates has the keys that the values name.
  const create = commands.find(command => command.includes('create secret generic')) ?? ''
  const keys = [...create.matchAll(/--from-(?:literal|file)=([\w-]+)/g)].map(([, key]) => key)
  const { secrets } = parse(values) as { secrets: Record<string, { name: string; key: string }> }
  t.same(
    Object.values(secrets)
      .map(({ key }) => key)
      .sort(),
    keys.sort(),
  )
  for (const variable of Object.keys(secrets)) t.ok(variablesOfSecrets.includes(variable))
})

/** Commands of the page that operators run in a pod. */
const operatorCommands = new Set(['doctor', 'streams status', 'projections ls'])

/** Runs `confab` as the container of a pod does. */
const runConfab = (args: readonly string[], env: Record<string, string>): string =>
  execFileSync(process.execPath, ['src/cli/main.ts', ...args], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, ...env },
  })

t.test('processes of the pods start, answer the probes, and stop', { skip, timeout: 300_000 }, async t => {
  const nats = await startNats(t, { streams: false })
  const folder = tempFolder(t)
  const all = rendered(folder, example('minimal'), {
    secrets: { CONFAB_NATS: { name: 'nats', key: 'servers' } },
    // The URL with the credentials has precedence over `nats.servers`.
    config: { nats: { replicas: 1 } },
  })
  const secretOf = (variable: string): string => (variable === 'CONFAB_NATS' ? nats.url : secret)

  /** The environment of a container on this machine: loopback addresses, and views in one data folder. */
  const environment = (template: PodTemplate, container: Container): Record<string, string> => {
    const env = environmentOf(all, template, container, folder, secretOf)
    const file = env.CONFAB_CONFIG!
    const config = parse(readFileSync(file, 'utf8')) as Record<string, unknown>
    for (const store of ['cassandra', 'elasticsearch', 's3']) delete config[store]
    writeFileSync(file, stringify(config))
    return {
      ...env,
      CONFAB_DATA: join(folder, 'data'),
      CONFAB_HOST: '127.0.0.1',
      CONFAB_ADMIN_HOST: '127.0.0.1',
      CONFAB_LOG_FILE: join(folder, 'log'),
    }
  }

  const job = podsOf(all).find(({ manifest }) => manifest.kind === 'Job')!.template
  const streams = containersOf(job)[0]!
  t.match(
    runConfab(streams.args, environment(job, streams)),
    /CONV_0 +created/,
    'the Job creates the streams',
  )
  t.match(runConfab([...containersOf(job)[1]!.args, '--help'], {}), /Create or upgrade keyspace and tables/)

  const processes: ConfabProcess[] = []
  t.teardown(() => Promise.all(processes.map(one => one.stop())))
  for (const role of ['projections', 'commands', 'edge']) {
    const { template } = podsOf(all).find(({ manifest }) => manifest.metadata.name === `confab-${role}`)!
    const container = template.spec.containers[0]!
    t.same(container.args, ['serve'])
    const env = environment(template, container)
    const confab = await spawnConfab({ data: join(folder, 'data'), dev: false, env })
    processes.push(confab)
    await untilReady(confab)
    for (const probe of [container.startupProbe, container.readinessProbe, container.livenessProbe]) {
      const { path } = probe!.httpGet
      // As the kubelet asks: by the address of the pod.
      const { status } = await fetch(`${confab.adminUrl}${path}`, { headers: { host: '127.0.0.1:9080' } })
      t.equal(status, 200, `${role} ${path}`)
    }
    const metrics = await (await fetch(`${confab.adminUrl}/metrics`)).text()
    const scaled = parse(readFileSync(example('production'), 'utf8')) as Record<
      string,
      { autoscaling: { metrics: object } }
    >
    const table = pageParts().page + read('docs/operations.md')
    for (const metric of Object.keys(scaled[role]!.autoscaling.metrics)) {
      t.match(metrics, new RegExp(`^# TYPE ${metric} `, 'm'), `${role} has ${metric}`)
      t.ok(table.includes(`\`${metric}\``), `${metric} is in the table of signals`)
    }
    if (role === 'edge')
      for (const command of operatorCommands)
        t.doesNotThrow(() => runConfab(command.split(' '), env), `confab ${command}`)
  }
  for (const confab of processes.splice(0).reverse()) t.equal(await confab.stop(), 0, 'SIGTERM')
})

t.test('the schema knows every option once', async t => {
  const schema = JSON.parse(read('ops/helm/confab/values.schema.json')) as {
    properties: { config: object; secrets: { properties: object } }
  }
  const keysOf = (level: object, path = ''): string[] =>
    'properties' in level
      ? Object.entries(level.properties as object).flatMap(([key, inner]) =>
          keysOf(inner as object, path === '' ? key : `${path}.${key}`),
        )
      : [path]
  const keys = allOptions.flatMap(option =>
    option.key === undefined || optionsOfChart.includes(option) ? [] : [option.key],
  )
  t.same(keysOf(schema.properties.config).sort(), keys.sort())
  const secrets = allOptions.filter(({ secret }) => secret !== undefined).map(option => variableOf(option)!)
  t.same(
    Object.keys(schema.properties.secrets.properties)
      .filter(name => name.startsWith('CONFAB_'))
      .sort(),
    secrets.sort(),
  )
})
