import { type TObject, type TSchema, Type } from '@sinclair/typebox'
import { type Option, variableOf } from '../../src/base/option.ts'
import { allOptions, options } from '../../src/infra/config/index.ts'
import { backupOptions } from '../../src/infra/nats/backup/options.ts'

/** Options that the chart sets itself, because Services, probes and volumes depend on them. */
export const optionsOfChart: readonly Option[] = [
  options.dev,
  options.host,
  options.port,
  options.grpcPort,
  options.adminHost,
  options.adminPort,
  options.data,
  options.roles,
  options.logFile,
  // Servers take backups of an embedded log only. The CronJob alone gets the key.
  backupOptions.everyMs,
  backupOptions.keyFile,
]

/** Secrets that the client of S3 reads from the environment by itself. */
const foreignSecrets = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN']

/** Variables that pods may receive from Secrets. */
export const variablesOfSecrets: readonly string[] = [
  ...allOptions.flatMap(option => (option.secret === undefined ? [] : [variableOf(option)!])),
  ...foreignSecrets,
]

const exact = (properties: Record<string, TSchema>, description?: string): TObject =>
  Type.Object(properties, {
    additionalProperties: false,
    ...(description === undefined ? {} : { description }),
  })

const maybe = <T extends TSchema>(schema: T) => Type.Optional(schema)

/** A text that has no secret: `secret` as in the table of options. */
const textOf = ({ secret }: Option): TSchema => {
  if (secret === true) return Type.String({ pattern: '^file:' })
  return Type.String(secret === 'url' ? { pattern: '^(file:.*|[^@]*)$' } : { minLength: 1 })
}

const quantities: Readonly<Record<string, string>> = {
  duration: '^[0-9]+(\\.[0-9]+)? *(ms|s|m|h|d)$',
  size: '^[0-9]+(\\.[0-9]+)? *(B|KiB|MiB|GiB|kB|MB|GB)$',
}

const schemaOfOption = (option: Option): TSchema => {
  const { name, range } = option.type
  const pattern = quantities[name]
  if (name === 'integer' || pattern !== undefined) {
    const quantity = pattern === undefined ? Type.Integer({ minimum: 0 }) : Type.String({ pattern })
    return range?.endsWith('off')
      ? Type.Union([quantity, Type.Literal('off'), Type.Literal(false), Type.Literal(0)])
      : quantity
  }
  if (name === 'boolean') return Type.Boolean()
  if (name === 'number') return Type.Number({ minimum: 0, maximum: 1 })
  return name.startsWith('list of')
    ? Type.Union([textOf(option), Type.Array(textOf(option), { minItems: 1 })])
    : textOf(option)
}

type Levels = { [key: string]: Levels | Option }

const isOption = (value: Levels | Option): value is Option => 'type' in value && 'doc' in value

const schemaOfLevels = (levels: Levels): TSchema =>
  exact(
    Object.fromEntries(
      Object.entries(levels).map(([key, value]) => [
        key,
        maybe(isOption(value) ? { ...schemaOfOption(value), description: value.doc } : schemaOfLevels(value)),
      ]),
    ),
  )

/** The YAML file of confab, by the table of options, without the options that the chart sets. */
const configSchema = (): TSchema => {
  const levels: Levels = {}
  for (const option of allOptions) {
    const path = option.key?.split('.')
    if (path === undefined || optionsOfChart.includes(option)) continue
    const last = path.pop()!
    let level = levels
    for (const part of path) {
      level[part] ??= {}
      level = level[part] as Levels
    }
    level[last] = option
  }
  return schemaOfLevels(levels)
}

/** An object or a list of Kubernetes, which its own API checks. */
const kubernetesObject = Type.Object({})
const kubernetesList = Type.Array(Type.Object({}))
const texts = Type.Record(Type.String(), Type.String())
const enabled = Type.Boolean()
const count = (minimum: number): TSchema => Type.Integer({ minimum })
const port = Type.Integer({ minimum: 1, maximum: 65_535 })
const variables = Type.Array(Type.Object({ name: Type.String({ minLength: 1 }) }))
const tag = Type.String({ pattern: '^[A-Za-z0-9_.-]*$' })
const digest = Type.String({ pattern: '^(sha256:[0-9a-f]{64})?$' })

const secrets = exact(
  Object.fromEntries(
    variablesOfSecrets.map(variable => [
      variable,
      maybe(exact({ name: Type.String({ minLength: 1 }), key: Type.String({ minLength: 1 }) })),
    ]),
  ),
)

const autoscaling = {
  enabled,
  minReplicas: count(1),
  maxReplicas: count(1),
  cpuUtilization: Type.Integer({ minimum: 0, maximum: 1_000 }),
  metrics: Type.Record(Type.String(), Type.String({ pattern: '^[0-9]+(\\.[0-9]+)?(m|k|M|G|Ki|Mi|Gi)?$' })),
  scaleDownAfterSeconds: Type.Integer({ minimum: 0, maximum: 3_600 }),
}

/** All properties are optional: values.yaml has their defaults. */
const values = (properties: Record<string, TSchema>): TObject =>
  exact(Object.fromEntries(Object.entries(properties).map(([key, schema]) => [key, maybe(schema)])))

const role = {
  replicas: count(0),
  image: values({ tag, digest }),
  resources: kubernetesObject,
  secrets,
  extraEnv: variables,
  preStopSeconds: Type.Integer({ minimum: 0, maximum: 300 }),
  maxUnavailable: Type.Union([count(1), Type.String({ pattern: '^[1-9][0-9]?%$' })]),
  autoscaling: values(autoscaling),
  topologySpread: Type.Array(
    exact({
      topologyKey: Type.String({ minLength: 1 }),
      whenUnsatisfiable: maybe(Type.Union([Type.Literal('ScheduleAnyway'), Type.Literal('DoNotSchedule')])),
      maxSkew: maybe(count(1)),
    }),
  ),
  affinity: kubernetesObject,
  nodeSelector: texts,
  tolerations: kubernetesList,
  priorityClassName: Type.String(),
  podAnnotations: texts,
  podLabels: texts,
}

const service = values({
  type: Type.Union(['ClusterIP', 'NodePort', 'LoadBalancer'].map(name => Type.Literal(name))),
  port,
  grpcPort: port,
  annotations: texts,
  loadBalancerClass: Type.String(),
  loadBalancerSourceRanges: Type.Array(Type.String()),
  externalTrafficPolicy: Type.Union([Type.Literal('Local'), Type.Literal('Cluster')]),
})

const schema = (): TSchema => ({
  $schema: 'http://json-schema.org/draft-07/schema#',
  $comment: 'Generated from the option tables in src by scripts/generate-docs.ts. Do not edit.',
  ...values({
    global: kubernetesObject,
    nameOverride: Type.String({ maxLength: 50 }),
    fullnameOverride: Type.String({ maxLength: 50 }),
    commonLabels: texts,
    image: values({
      repository: Type.String({ minLength: 1 }),
      tag,
      digest,
      pullPolicy: Type.Union(['Always', 'IfNotPresent', 'Never'].map(name => Type.Literal(name))),
    }),
    imagePullSecrets: Type.Array(exact({ name: Type.String({ minLength: 1 }) })),
    config: configSchema(),
    secrets,
    extraEnv: variables,
    extraVolumes: kubernetesList,
    extraVolumeMounts: kubernetesList,
    listenAddress: Type.Union([Type.Literal('0.0.0.0'), Type.Literal('::')]),
    serviceAccount: values({ create: Type.Boolean(), name: Type.String(), annotations: texts }),
    edge: values({ ...role, service, grpc: Type.Boolean() }),
    commands: values(role),
    projections: values(role),
    migrate: values({
      enabled,
      resources: kubernetesObject,
      secrets,
      activeDeadlineSeconds: count(10),
      backoffLimit: count(0),
    }),
    backup: values({
      enabled,
      schedule: Type.String({ minLength: 9 }),
      keySecret: values({ name: Type.String({ minLength: 1 }), key: Type.String({ minLength: 1 }) }),
      tmpSize: Type.String({ pattern: '^[0-9]+(Mi|Gi|Ti)$' }),
      resources: kubernetesObject,
      secrets,
      extraEnv: variables,
      activeDeadlineSeconds: count(60),
      backoffLimit: count(0),
    }),
    ingress: values({
      enabled,
      className: Type.String(),
      annotations: texts,
      hosts: Type.Array(Type.String({ minLength: 1 })),
      tls: kubernetesList,
    }),
    networkPolicy: values({
      enabled,
      clients: kubernetesList,
      admin: kubernetesList,
      egress: kubernetesList,
    }),
    monitoring: values({
      serviceMonitor: values({
        enabled,
        interval: Type.String({ pattern: '^[0-9]+(s|m)$' }),
        labels: texts,
      }),
      prometheusRule: values({ enabled, labels: texts }),
      dashboard: values({ enabled, labels: texts }),
    }),
  }),
})

export const path = 'ops/helm/confab/values.schema.json'

/** The schema of the chart's values: refuses unknown keys of confab, and secrets outside of Secrets. */
export const generate = (): string => `${JSON.stringify(schema(), undefined, 2)}\n`
