import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { freePort } from '../harness/free-ports.ts'
import { tempFolder } from '../harness/temp-folder.ts'

const root = resolve(import.meta.dirname, '../..')

/** Environment without the binaries of the checkout and the variables of npm, as on another machine. */
const env: NodeJS.ProcessEnv = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith('npm_') && !name.startsWith('TAP')),
)
env.PATH = (process.env.PATH ?? '')
  .split(':')
  .filter(folder => !folder.includes('node_modules'))
  .join(':')

/** Arguments of `sh` that run a command without the modules that tap loads into each Node process of a test. */
const plain = (...command: string[]): string[] => ['-c', 'unset NODE_OPTIONS; exec "$0" "$@"', ...command]

t.test('the installed package runs npx confab serve --dev', { timeout: 300_000 }, async t => {
  const folder = tempFolder(t)
  // Without the scripts of npm: `prepare` would rebuild tap while other tests run.
  for (const script of ['scripts/build.ts', 'scripts/sbom.ts'])
    execFileSync('sh', plain(process.execPath, script), { cwd: root, env, stdio: 'pipe' })
  execFileSync('sh', plain('npm', 'pack', '--ignore-scripts', '--pack-destination', folder), {
    cwd: root,
    env,
    stdio: 'pipe',
  })
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
  const tarball = join(folder, `confab-${version}.tgz`)
  const packed = execFileSync('tar', ['tzf', tarball], { encoding: 'utf8' })
  t.match(packed, 'package/dist/cli/main.js')
  t.match(packed, 'package/dist/sbom.cdx.json')
  t.notMatch(packed, /package\/(src|test|bench)\//)
  t.notMatch(packed, /page-bundle/, 'the pages are bundled; the bundler is not needed')
  writeFileSync(join(folder, 'package.json'), '{"private":true}')
  execFileSync('sh', plain('npm', 'install', '--no-audit', '--no-fund', '--prefer-offline', tarball), {
    cwd: folder,
    env,
    stdio: 'pipe',
  })

  const confab = (...args: string[]) =>
    execFileSync('sh', plain('npx', 'confab', ...args), {
      cwd: folder,
      env,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  t.equal(confab('--version').trim(), version)
  const data = join(folder, 'data')
  const port = await freePort()
  const child = spawn(
    'sh',
    plain('npx', 'confab', 'serve', '--dev', '--port', String(port), '--data', data),
    {
      cwd: folder,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => (output += chunk))
  const exit = once(child, 'exit')
  let isOver = false
  void exit.then(() => {
    isOver = true
  })
  const url = `http://127.0.0.1:${port}`
  while ((await fetch(`${url}/readyz`).catch(() => undefined))?.status !== 200) {
    if (isOver) throw new Error(`it ended before it was ready: ${output}`)
    await sleep(50)
  }

  const page = await (await fetch(`${url}/`)).text()
  const files = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path]) => path!)
  t.equal(files.length, 3, 'a script, a style sheet, an icon')
  for (const path of files) t.equal((await fetch(`${url}${path}`)).status, 200, path)

  const sent = JSON.parse(confab('send', 'lounge', 'hello', '--user', 'alice', '--data', data)) as {
    seq: number
  }
  t.ok(sent.seq > 0)
  const { pid } = JSON.parse(readFileSync(join(data, 'serve.json'), 'utf8')) as { pid: number }
  // Signal confab itself: versions of npx handle signals differently.
  process.kill(pid, 'SIGTERM')
  t.same(await exit, [0, null], 'SIGTERM drains and exits 0')
  t.notOk(existsSync(join(data, 'serve.json')))
})
