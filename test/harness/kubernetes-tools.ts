import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseAllDocuments } from 'yaml'
import { servicesFolder } from './service.ts'

export const root = resolve(import.meta.dirname, '../..')
export const chart = join(root, 'ops/helm/confab')

export interface Labels {
  readonly [label: string]: string
}

export interface Container {
  readonly name: string
  readonly image: string
  readonly args: readonly string[]
  readonly env: readonly { name: string; value?: string; valueFrom?: object }[]
  readonly ports?: readonly { name: string; containerPort: number }[]
  readonly volumeMounts: readonly { name: string; mountPath: string }[]
  readonly securityContext: object
  readonly resources: object
  readonly lifecycle?: object
  readonly startupProbe?: Probe
  readonly readinessProbe?: Probe
  readonly livenessProbe?: Probe
}

export interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string }
}

export interface PodTemplate {
  readonly metadata: { readonly labels: Labels; readonly annotations?: Labels }
  readonly spec: {
    readonly containers: readonly Container[]
    readonly initContainers?: readonly Container[]
    readonly volumes: readonly { name: string; configMap?: { name: string } }[]
    readonly terminationGracePeriodSeconds?: number
    readonly topologySpreadConstraints?: readonly { labelSelector: { matchLabels: Labels } }[]
    readonly [field: string]: unknown
  }
}

/** An object that the chart renders. */
export interface Manifest {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string; readonly labels: Labels; readonly annotations?: Labels }
  readonly data?: Labels
  // biome-ignore lint/suspicious/noExplicitAny: each kind has its own; kubeconform checks them.
  readonly spec?: any
}

const folder = join(servicesFolder(), 'kubernetes')
const program = (name: string): string => join(folder, 'bin', name)

const isRequired = (process.env.CONFAB_TEST_REQUIRE ?? '').split(/[\s,]+/).includes('kubernetes')

/** Why the programs are missing; undefined when they are installed. Fetches them at the first call. */
export const missingTools = (): string | undefined => {
  const { status, stderr } = spawnSync('bash', [join(root, 'test/services/kubernetes.sh'), 'install'], {
    encoding: 'utf8',
  })
  if (status === 0) return undefined
  const reason = stderr.trim().split('\n').at(-1) ?? 'unknown'
  if (isRequired) throw new Error(`kubernetes is required: ${reason}\n${stderr}`)
  return reason
}

/** Runs helm in the root of the repository. `failed`: with its errors as output. */
export const helm = (
  args: readonly string[],
  { cwd = root }: { cwd?: string } = {},
): { failed: boolean; output: string } => {
  const { status, stdout, stderr } = spawnSync(program('helm'), args, {
    cwd,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
    // No cluster and no settings of the developer.
    env: { PATH: process.env.PATH, HOME: folder, KUBECONFIG: '/dev/null' },
  })
  return status === 0 ? { failed: false, output: stdout } : { failed: true, output: `${stdout}${stderr}` }
}

/** The objects in the output of `helm template`. */
export const manifestsIn = (output: string): readonly Manifest[] =>
  parseAllDocuments(output).flatMap(document => (document.toJS() as Manifest | null) ?? [])

/** Arguments of helm for values, each a file's path or an object. */
const valuesArgs = (temp: string, values: readonly (string | object)[]): string[] =>
  values.flatMap((one, n) => {
    if (typeof one === 'string') return ['-f', one]
    const file = join(temp, `values-${n}.json`)
    mkdirSync(temp, { recursive: true })
    writeFileSync(file, JSON.stringify(one))
    return ['-f', file]
  })

/** Renders the chart; returns the errors of helm as text where it refuses the values. */
export const render = (temp: string, ...values: (string | object)[]): readonly Manifest[] | string => {
  const { failed, output } = helm(['template', 'confab', chart, ...valuesArgs(temp, values)])
  return failed ? output : manifestsIn(output)
}

/** Renders the chart with values that it has to accept. */
export const rendered = (temp: string, ...values: (string | object)[]): readonly Manifest[] => {
  const found = render(temp, ...values)
  if (typeof found === 'string') throw new Error(found)
  return found
}

export const example = (name: 'minimal' | 'production'): string => join(chart, 'examples', `${name}.yaml`)

const operatorKinds = ['ServiceMonitor', 'PrometheusRule'] as const

/** Versions of Kubernetes whose schemas are installed: the lowest of Chart.yaml, and the newest. */
export const kubernetesVersions = ['1.30.0', '1.37.0'] as const

/** Checks objects by the schemas of a version of Kubernetes, unknown fields included. Throws with all errors. */
export const checkObjects = (temp: string, version: string, manifests: readonly Manifest[]): void => {
  const file = join(temp, 'objects.json')
  writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: manifests }))
  const { status, stdout, stderr } = spawnSync(
    program('kubeconform'),
    [
      '-strict',
      '-n=1',
      `-kubernetes-version=${version}`,
      `-skip=${operatorKinds.join(',')}`,
      `-schema-location=${folder}/schemas/{{.NormalizedKubernetesVersion}}-local{{.StrictSuffix}}/{{.ResourceKind}}{{.KindSuffix}}.json`,
      file,
    ],
    { encoding: 'utf8' },
  )
  if (status !== 0) throw new Error(`${stdout}${stderr}`)
}

/** Checks the objects of Prometheus' operator. Throws. */
export const checkOperatorObjects = async (manifests: readonly Manifest[]): Promise<number> => {
  const models = (await import(
    pathToFileURL(
      join(folder, 'node_modules/@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/index.js'),
    ).href
  )) as Record<(typeof operatorKinds)[number], new (manifest: Manifest) => { validate(): void }>
  const checked = operatorKinds.flatMap(kind =>
    manifests.filter(manifest => manifest.kind === kind).map(manifest => new models[kind](manifest)),
  )
  for (const one of checked) one.validate()
  return checked.length
}
