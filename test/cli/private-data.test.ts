import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { tightenDataFolder } from '../../src/base/private-files.ts'
import { connectNats, findRunningServer } from '../../src/infra/nats/index.ts'
import { spawnConfab, untilReady } from '../harness/confab-process.ts'
import { runConfab } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'
import { png, upload } from '../harness/upload.ts'

const modeOf = (path: string): number => lstatSync(path).mode & 0o777

/** Returns the files and folders of a data folder that other users have any permission for. */
const open = (data: string): string[] =>
  [data, ...readdirSync(data, { recursive: true, encoding: 'utf8' }).map(name => join(data, name))].filter(
    path => (modeOf(path) & 0o077) !== 0,
  )

t.test('only the user of the process can read a data folder and what is in it', async t => {
  const data = join(tempFolder(t), 'data')
  const confab = await untilReady(await spawnConfab({ data }))
  t.teardown(() => confab.stop())
  await upload({ url: confab.url, token: user => confab.token(user) }, 'alice', png())
  const paths = readdirSync(data, { recursive: true, encoding: 'utf8' })
  for (const name of ['dev-secret', 'nats.json', 'serve.json', 'nats/nats-server.conf', 'views/views.sqlite'])
    t.ok(paths.includes(name), name)
  t.same(open(data), [])
  t.equal(modeOf(data), 0o700)
  t.equal(modeOf(join(data, 'nats.json')), 0o600)
  t.equal(await confab.stop(), 0)

  // As earlier versions left it.
  for (const path of [data, ...paths.map(name => join(data, name))])
    try {
      chmodSync(path, lstatSync(path).isDirectory() ? 0o755 : 0o644)
    } catch {
      // Removed by the stop.
    }
  t.ok(open(data).length > 10)
  const again = await untilReady(await spawnConfab({ data }))
  t.teardown(() => again.stop())
  t.match(
    again.output(),
    /other users could read \d+ files and folders of \S+data: only this user can read them now/,
  )
  t.same(open(data), [])
  t.equal(await again.stop(), 0)
})

t.test('foreign files, links and shared folders are left alone', async t => {
  const folder = tempFolder(t)
  const data = join(folder, 'data')
  mkdirSync(join(data, 'views'), { recursive: true, mode: 0o755 })
  writeFileSync(join(folder, 'target'), '', { mode: 0o644 })
  writeFileSync(join(data, 'notes.txt'), '', { mode: 0o644 })
  writeFileSync(join(data, 'nats.json'), '{}', { mode: 0o644 })
  symlinkSync(join(folder, 'target'), join(data, 'views', 'link'))
  t.same(tightenDataFolder(data), { changed: 3, failed: [] })
  t.equal(modeOf(join(folder, 'target')), 0o644)
  t.equal(modeOf(join(data, 'notes.txt')), 0o644)
  t.equal(modeOf(join(data, 'nats.json')), 0o600)
  t.same(tightenDataFolder(data), { changed: 0, failed: [] }, 'the second time finds nothing')
  chmodSync(join(data, 'nats.json'), 0o640)
  t.same(tightenDataFolder(data), { changed: 1, failed: [] }, 'a single file that was opened')

  chmodSync(data, 0o1777)
  t.same(tightenDataFolder(data).failed, [])
  t.equal(lstatSync(data).mode & 0o7777, 0o1777, 'a shared folder such as /tmp')
  t.same(tightenDataFolder(join(folder, 'none')), { changed: 0, failed: [] })
})

t.test('the embedded NATS refuses clients without its credentials, and local commands have them', async t => {
  const data = join(tempFolder(t), 'data')
  const confab = await untilReady(await spawnConfab({ data }))
  t.teardown(() => confab.stop())
  const { url } = findRunningServer(data)!
  const { port, password } = new URL(url)
  for (const servers of [
    `nats://127.0.0.1:${port}`,
    `nats://confab@127.0.0.1:${port}`,
    `nats://confab:wrong@127.0.0.1:${port}`,
    `nats://other:${password}@127.0.0.1:${port}`,
  ])
    await t.rejects(connectNats({ servers }), { code: 'NATS_RIGHTS' }, servers)
  for (const args of [
    ['doctor'],
    ['replay', '--conversation', 'lounge'],
    ['streams', 'status'],
    ['projections', 'ls'],
    ['send', 'lounge', 'hello', '--user', 'alice'],
  ]) {
    const { code, stdout, stderr } = await runConfab([...args, '--data', data])
    t.equal(code, 0, `${args.join(' ')}: ${stderr}`)
    t.notOk(`${stdout}${stderr}`.includes(password), 'the credentials are in no output')
  }
  t.equal(await confab.stop(), 0)
  const again = await untilReady(await spawnConfab({ data }))
  t.teardown(() => again.stop())
  t.equal(new URL(findRunningServer(data)!.url).password, password, 'kept over restarts')

  const other = join(tempFolder(t), 'data')
  const elsewhere = await untilReady(await spawnConfab({ data: other }))
  t.teardown(() => elsewhere.stop())
  t.not(new URL(findRunningServer(other)!.url).password, password, 'each installation has its own')
})

t.test('child processes receive no secrets', { skip: process.platform !== 'linux' }, async t => {
  const marked = 'marked-7c1f-secret-of-this-test'
  const secret = `${marked}-Zq8vN1xT4kR7mB2wY9cL5pD3hS6gJ0fA`
  const env = { CONFAB_JWT_SECRET: secret, AWS_SECRET_ACCESS_KEY: marked, CONFAB_CASSANDRA_PASSWORD: marked }
  const confab = await untilReady(await spawnConfab({ data: join(tempFolder(t), 'data'), env, dev: false }))
  t.teardown(() => confab.stop())
  /** Ids of all descendants of a process. */
  const below = (pid: number): number[] =>
    spawnSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' })
      .stdout.split('\n')
      .filter(line => line.trim() !== '')
      .flatMap(line => [Number(line), ...below(Number(line))])
  await sleep(100)
  const children = below(confab.pid)
  t.ok(children.length > 0, `${children.length} child processes`)
  for (const pid of children) {
    const [command = '', environment = ''] = ['cmdline', 'environ'].map(file =>
      readFileSync(`/proc/${pid}/${file}`, 'utf8'),
    )
    t.notMatch(environment, /marked-7c1f|CONFAB_/, command.replaceAll('\0', ' '))
  }
})
