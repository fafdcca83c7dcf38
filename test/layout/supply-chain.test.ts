import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import t from 'tap'
import { createSbom } from '../../scripts/sbom.ts'
import { type LockedPackage, lockedPackages, shippedPackages } from '../../scripts/shipped-packages.ts'
import { isAllowed, licenseProblems, readAudit } from '../../scripts/supply-chain.ts'
import { tempFolder } from '../harness/temp-folder.ts'

const root = resolve(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

const locked = lockedPackages()
const shipped = await shippedPackages()
const names = shipped.map(({ name }) => name)

t.test('the lock file has a checksum for each package, of every platform', async t => {
  t.ok(locked.length > 400, `${locked.length} packages`)
  t.same(
    locked.filter(({ integrity = '' }) => !/^sha512-[\w+/]{86}==$/.test(integrity)),
    [],
  )
})

t.test('a release contains the dependencies and the packages of the pages, and no tools', async t => {
  const { dependencies } = JSON.parse(read('package.json')) as { dependencies: Record<string, string> }
  const paths = new Set(shipped.map(({ path }) => path))
  for (const name of Object.keys(dependencies)) t.ok(paths.has(`node_modules/${name}`), name)
  for (const name of ['preact', 'htm', 'markdown-it', 'linkify-it']) t.ok(names.includes(name), name)
  for (const name of ['tap', 'typescript', 'esbuild', 'axe-core']) t.notOk(names.includes(name), name)
})

t.test('each package of a release has an allowed licence', async t => {
  t.same(licenseProblems(shipped), [])
  const [any] = shipped as [LockedPackage]
  t.match(licenseProblems([{ ...any, license: 'AGPL-3.0-only' }]), [/AGPL-3.0-only is not allowed/])
  t.same(
    ['MIT', 'GPL-3.0-only OR MIT', 'MIT AND ISC', 'MIT AND GPL-3.0-only', '', undefined].map(isAllowed),
    [true, true, true, false, false, false],
  )
})

t.test(
  'severe vulnerabilities of a release are problems; a registry without audits reports none',
  async t => {
    const [{ path }] = shipped as [LockedPackage]
    const [tool] = locked.filter(({ name }) => name === 'tap') as [LockedPackage]
    const vulnerabilities = {
      one: { severity: 'high', nodes: [path] },
      two: { severity: 'moderate', nodes: [path] },
      three: { severity: 'critical', nodes: [tool.path] },
    }
    t.same(readAudit({ vulnerabilities }, shipped), {
      problems: [`one: high, in ${path}`],
      notes: [`two: moderate, in ${path}`, `three: critical, in ${tool.path}`],
    })
    t.equal(readAudit({}, shipped), undefined)
  },
)

t.test(
  'the bill of materials names each package of a release once, with its checksum and licence',
  async t => {
    const sbom = await createSbom()
    t.match(sbom, {
      bomFormat: 'CycloneDX',
      specVersion: /^1\.\d$/,
      serialNumber: /^urn:uuid:/,
      metadata: { component: { name: 'confab', version: JSON.parse(read('package.json')).version } },
    })
    const refs = sbom.components.map(component => component['bom-ref'])
    t.equal(new Set(refs).size, refs.length)
    const packages = new Map(shipped.map(one => [`${one.name}@${one.version}`, one]))
    t.same(
      refs.filter(ref => !ref.startsWith('nats-server@')).sort(),
      [...packages.keys()].sort(),
      'the packages, and nats-server',
    )
    for (const [ref, { integrity = '', license = '' }] of packages) {
      const component = sbom.components.find(one => one['bom-ref'] === ref)
      const content = Buffer.from(integrity.replace('sha512-', ''), 'base64').toString('hex')
      t.match(component, { purl: /^pkg:npm\//, hashes: [{ alg: 'SHA-512', content }] }, ref)
      t.match(JSON.stringify(component?.licenses), license, ref)
    }
    const known = new Set([...refs, sbom.metadata.component['bom-ref']])
    for (const { ref, dependsOn = [] } of sbom.dependencies)
      for (const one of [ref, ...dependsOn]) t.ok(known.has(one), `${ref} depends on ${one}`)
    t.match(JSON.parse(read('package.json')).scripts.prepack, /npm run -s sbom/, 'a package contains it')
  },
)

t.test('the Node binary has the checksum of its version', { skip: process.platform !== 'linux' }, async t => {
  const version = locked.find(({ path }) => path === 'node_modules/node')?.version
  t.match(read('scripts/check-node.sh'), `version=${version}\n`)
  const check = (...args: string[]) =>
    spawnSync('sh', [join(root, 'scripts/check-node.sh'), ...args], { encoding: 'utf8' })
  t.match(check(), { status: 0, stdout: `the binary is that of Node ${version}` })
  const other = join(tempFolder(t), 'node')
  writeFileSync(other, 'another program')
  t.match(check(other), { status: 1, stderr: /has SHA-256 \w{64}, expected \w{64} of Node/ })
})
