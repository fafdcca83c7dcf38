import { execFileSync, spawn } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import {
  connectNats,
  findNatsServer,
  findRunningServer,
  type NatsError,
  type NatsServerOptions,
  startNatsServer,
} from '../../../src/infra/nats/index.ts'
import { userPasswords } from '../../harness/nats-users.ts'

const folder = (t: Test): string => {
  const made = realpathSync(mkdtempSync(join(tmpdir(), 'confab-server-')))
  t.teardown(() => rmSync(made, { recursive: true, force: true }))
  return made
}

const start = async (t: Test, options: NatsServerOptions) => {
  const server = await startNatsServer(options)
  t.teardown(() => server.stop())
  return server
}

const isReachable = async (url: string): Promise<boolean> => {
  const nats = await connectNats({ servers: url }).catch(() => undefined)
  await nats?.close()
  return nats !== undefined
}

const until = async (holds: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await holds())) await sleep(20)
}

/** Another process that runs a server on a folder. */
const keeper = async (t: Test, dataDir: string) => {
  const child = spawn(process.execPath, [join(import.meta.dirname, '../../harness/keep-nats.ts'), dataDir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  const [line] = await new Promise<string[]>(resolve =>
    createInterface({ input: child.stdout }).once('line', (...lines: string[]) => resolve(lines)),
  )
  const server = JSON.parse(line ?? '') as { url: string; pid: number; isOurs: boolean }
  const ended = new Promise(resolve => child.once('exit', resolve))
  return {
    ...server,
    kill: async (signal: NodeJS.Signals) => {
      child.kill(signal)
      await ended
    },
  }
}

t.test('a server starts on a folder, publishes its address, and stops', async t => {
  const dataDir = join(folder(t), 'not there yet')
  const server = await startNatsServer({ dataDir })
  t.equal(server.isOurs, true)
  t.match(server.url, /^nats:\/\/confab:[\w-]{43}@127\.0\.0\.1:\d+$/)
  t.ok(await isReachable(server.url))
  t.same(findRunningServer(dataDir), { url: server.url, pid: server.pid })
  t.match(readFileSync(join(dataDir, 'nats', 'nats-server.conf'), 'utf8'), 'listen: "127.0.0.1:')
  await server.stop()
  t.equal(findRunningServer(dataDir), undefined)
  t.notOk(await isReachable(server.url))

  const again = await start(t, { dataDir })
  t.equal(again.url, server.url, 'on its previous port')
})

t.test('a killed server is restarted at the same address, repeatedly', async t => {
  const notices: string[] = []
  const server = await start(t, { dataDir: folder(t), onNotice: notice => notices.push(notice) })
  const { url } = server
  for (let round = 0; round < 3; round++) {
    const { pid } = server
    process.kill(pid, 'SIGKILL')
    await until(() => server.pid !== pid)
    t.ok(await isReachable(url))
  }
  t.equal(server.url, url)
  t.equal(notices.filter(notice => notice.includes('SIGKILL')).length, 3)
})

t.test('it ends with its process, and the next one takes over', async t => {
  const dataDir = folder(t)
  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    const other = await keeper(t, dataDir)
    t.ok(await isReachable(other.url))
    await other.kill(signal)
    await until(() => findRunningServer(dataDir) === undefined)
    t.notOk(await isReachable(other.url), signal)
  }
  // Both are killed: a later start must not meet leftovers.
  const other = await keeper(t, dataDir)
  process.kill(other.pid, 'SIGKILL')
  await other.kill('SIGKILL')
  const server = await start(t, { dataDir })
  t.equal(server.isOurs, true)
  t.ok(await isReachable(server.url))
})

t.test('it never writes a folder beside a server whose supervisor was just killed', async t => {
  const dataDir = folder(t)
  for (let round = 0; round < 3; round++) {
    const other = await keeper(t, dataDir)
    await other.kill('SIGKILL')
    const server = await startNatsServer({ dataDir })
    const running = execFileSync('ps', ['-eo', 'stat,args'], { encoding: 'utf8' })
      .split('\n')
      .filter(line => !line.startsWith('Z') && line.includes(`nats-server -c ${dataDir}/`))
      .filter(line => !line.includes('sh -c'))
    t.equal(running.length, 1)
    await server.stop()
  }
})

t.test('two processes on one folder share a server', async t => {
  const dataDir = folder(t)
  const other = await keeper(t, dataDir)
  t.equal(other.isOurs, true)
  const attached = await startNatsServer({ dataDir })
  t.equal(attached.isOurs, false)
  t.equal(attached.url, other.url)
  t.equal(attached.pid, other.pid)
  await attached.stop()
  t.ok(await isReachable(other.url), 'is not ours to end')

  const [first, second] = await Promise.all([startNatsServer({ dataDir }), startNatsServer({ dataDir })])
  t.equal(first.url, second.url)
})

t.test('two concurrent starts start one', async t => {
  const dataDir = folder(t)
  const servers = await Promise.all([1, 2, 3].map(() => startNatsServer({ dataDir })))
  t.equal(servers.filter(server => server.isOurs).length, 1)
  t.equal(new Set(servers.map(server => server.url)).size, 1)
  for (const server of servers) await server.stop()
})

t.test('ports: a configured one is required, a remembered one is only preferred', async t => {
  const taken = createServer()
  await new Promise<void>(resolve => taken.listen(0, '127.0.0.1', resolve))
  t.teardown(() => taken.close())
  const address = taken.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const dataDir = folder(t)
  await t.rejects(startNatsServer({ dataDir, port }), {
    code: 'NATS_SERVER_FAILED',
    message: /address already in use/,
  })
  writeFileSync(join(dataDir, 'nats.json'), JSON.stringify({ url: `nats://127.0.0.1:${port}`, pid: 1 }))
  const server = await start(t, { dataDir })
  t.not(server.url, `nats://127.0.0.1:${port}`)
})

t.test('an unwritable folder is reported', async t => {
  const file = join(folder(t), 'file')
  writeFileSync(file, '')
  await t.rejects(startNatsServer({ dataDir: join(file, 'data') }), {
    code: 'NATS_DATA_UNWRITABLE',
    message: /cannot be written/,
  })
})

const skipMounts = ((): string | false => {
  try {
    execFileSync('unshare', ['-m', 'true'], { stdio: 'ignore' })
    return process.getuid?.() === 0 ? false : 'this process may not mount a file system'
  } catch {
    return 'this process may not mount a file system'
  }
})()

t.test('a full disk, and a read-only one', { skip: skipMounts }, async t => {
  const disk = folder(t)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk])
  t.teardown(() => execFileSync('umount', ['-l', disk]))
  mkdirSync(join(disk, 'data'))
  execFileSync('sh', ['-c', `cat /dev/zero > ${disk}/filler 2>/dev/null || true`])
  const full = await startNatsServer({ dataDir: join(disk, 'data') }).catch((error: NatsError) => error)
  t.match(full, { code: /^NATS_DATA_(FULL|UNWRITABLE)$/ })
  rmSync(join(disk, 'filler'))
  execFileSync('mount', ['-o', 'remount,ro', disk])
  await t.rejects(startNatsServer({ dataDir: join(disk, 'data') }), { code: 'NATS_DATA_UNWRITABLE' })
})

t.test('the server is found, or the problem of the named one is reported', async t => {
  const bin = folder(t)
  const fake = join(bin, 'nats-server')
  writeFileSync(fake, '#!/bin/sh\necho "nats-server: v2.9.10"\n')
  chmodSync(fake, 0o755)
  const { CONFAB_NATS_SERVER: named, PATH: path } = process.env
  t.teardown(() => {
    if (named === undefined) delete process.env.CONFAB_NATS_SERVER
    else process.env.CONFAB_NATS_SERVER = named
    process.env.PATH = path
  })
  const good = await findNatsServer()
  t.match(good.version, /^2\.15\.\d+$/)
  process.env.CONFAB_NATS_SERVER = fake
  await t.rejects(findNatsServer(), {
    code: 'NATS_SERVER_TOO_OLD',
    message: /2\.9\.10.*Install nats-server 2\.15/s,
  })
  writeFileSync(fake, '#!/bin/sh\necho "nats-server: v2.16.0"\n')
  await t.rejects(findNatsServer(), {
    code: 'NATS_SERVER_UNSUPPORTED',
    message: /2\.16\.0.*supports nats-server 2\.15\.x.*Install nats-server 2\.15/s,
  })
  writeFileSync(fake, '#!/bin/sh\necho "nats-server: v2.9.10"\n')
  process.env.CONFAB_NATS_SERVER = join(bin, 'none')
  await t.rejects(findNatsServer(), { code: 'NATS_SERVER_MISSING' })
  process.env.CONFAB_NATS_SERVER = good.path
  t.same(await findNatsServer(), good)
  delete process.env.CONFAB_NATS_SERVER
  process.env.PATH = `${bin}:${path}`
  t.not((await findNatsServer()).path, fake, 'an old one on PATH is skipped')
})

t.test('the configurations in nats/ are valid', async t => {
  const { path: binary } = await findNatsServer()
  const env = {
    ...process.env,
    ...userPasswords(),
    CONFAB_NATS_NAME: 'n1',
    CONFAB_NATS_LISTEN: '127.0.0.1:4222',
    CONFAB_NATS_CLUSTER_LISTEN: '127.0.0.1:6222',
    CONFAB_NATS_STORE: folder(t),
    CONFAB_NATS_ROUTES: '["nats://127.0.0.1:6222", "nats://127.0.0.1:6223"]',
  }
  for (const file of ['single.conf', 'cluster.conf']) {
    const path = join(import.meta.dirname, '../../../nats', file)
    t.doesNotThrow(() => execFileSync(binary, ['-t', '-c', path], { env, stdio: 'pipe' }), file)
  }
})
