import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { freePort } from '../harness/confab-process.ts'
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

/** Modules that the source of a page imports by relative or absolute path. */
const importsOf = (source: string): string[] =>
  [...source.matchAll(/(?:from|import)\s*\(?\s*['"]([./][^'"]+)['"]/g)].map(([, path]) => path!)

t.test('the installed package runs npx confab serve --dev', { timeout: 300_000 }, async t => {
  const folder = tempFolder(t)
  // Without the scripts of npm: `prepare` would rebuild tap while other tests run.
  execFileSync('sh', plain(process.execPath, 'scripts/build.ts'), { cwd: root, env, stdio: 'pipe' })
  execFileSync('sh', plain('npm', 'pack', '--ignore-scripts', '--pack-destination', folder), {
    cwd: root,
    env,
    stdio: 'pipe',
  })
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
  const tarball = join(folder, `confab-${version}.tgz`)
  const packed = execFileSync('tar', ['tzf', tarball], { encoding: 'utf8' })
  t.match(packed, 'package/dist/cli/main.js')
  t.notMatch(packed, /package\/(src|test|bench)\//)
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
  const waiting = [...page.matchAll(/(?:src|href)="(\/[^"]+\.(?:js|ts|css|svg))"/g)].map(([, path]) => path!)
  for (const [, path] of page.matchAll(/": "(\/[^"]+\.m?js)"/g)) waiting.push(path!)
  const seen = new Set<string>()
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (seen.has(path)) continue
    seen.add(path)
    const answer = await fetch(`${url}${path}`)
    const text = await answer.text()
    if (answer.status !== 200) t.fail(`${path}: ${answer.status}`)
    if (/\.m?js$/.test(path)) {
      t.match(answer.headers.get('content-type'), 'javascript', path)
      waiting.push(...importsOf(text).map(each => new URL(each, `${url}${path}`).pathname))
    }
  }
  t.ok(seen.size > 20, `the page and its ${seen.size} files are served`)

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
