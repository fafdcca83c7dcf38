import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connectNats, type Nats } from '../../src/infra/nats/client/connection.ts'
import { findNatsServer } from '../../src/infra/nats/embedded/nats-binary.ts'
import { type ServerProcess, spawnServer } from '../../src/infra/nats/embedded/server-process.ts'
import { applyStreams, loadStreams } from '../../src/infra/nats/log/streams.ts'
import { freePorts } from './free-ports.ts'
import { includeUsers, urlOf, userPasswords } from './nats-users.ts'

/** Three real nats-servers on nats/cluster.conf, with confab's streams on all of them. */
export interface TestCluster {
  /** For the user operator. */
  readonly urls: readonly string[]
  connect(server?: string): Promise<Nats>
  /** Stops the process of a server, or lets it continue: it then acts on what it last knew. */
  stop(index: number, stopped: boolean): void
  /** Kills one server; it stays down until `restart`. */
  kill9(index: number): Promise<void>
  /** Resolves when it is healthy: it knows a leader and is up to date. */
  restart(index: number): Promise<void>
}

const isHealthy = (port: number): Promise<boolean> =>
  fetch(`http://127.0.0.1:${port}/healthz`).then(
    answer => answer.ok,
    () => false,
  )

export const startCluster = async (t: { teardown(fn: () => unknown): void }): Promise<TestCluster> => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'confab-cluster-')))
  const { path: binary } = await findNatsServer()
  const ports = await freePorts(9)
  const closers: (() => Promise<void>)[] = []

  const start = (index: number): Promise<ServerProcess> => {
    const portsDir = join(folder, `n${index}`)
    mkdirSync(portsDir, { recursive: true })
    const logFile = join(portsDir, 'nats-server.log')
    const configFile = join(portsDir, 'nats-server.conf')
    const shared = readFileSync(join(import.meta.dirname, '../../nats/cluster.conf'), 'utf8').replace(
      /^include .*$/m,
      includeUsers(portsDir),
    )
    const own = `http: '127.0.0.1:${ports[index + 6]}'\nlog_file: '${logFile}'\nports_file_dir: '${portsDir}'`
    writeFileSync(configFile, `${shared}\n${own}\n`)
    return spawnServer(binary, configFile, {
      logFile,
      portsDir,
      env: {
        ...userPasswords(),
        CONFAB_NATS_NAME: `n${index}`,
        CONFAB_NATS_LISTEN: `127.0.0.1:${ports[index]}`,
        CONFAB_NATS_CLUSTER_LISTEN: `127.0.0.1:${ports[index + 3]}`,
        CONFAB_NATS_ROUTES: JSON.stringify(ports.slice(3, 6).map(port => `nats://127.0.0.1:${port}`)),
        CONFAB_NATS_STORE: join(portsDir, 'store'),
      },
    })
  }
  const servers = await Promise.all([0, 1, 2].map(start))
  t.teardown(async () => {
    await Promise.all(closers.map(close => close()))
    await Promise.all(servers.map(server => server.stop()))
    rmSync(folder, { recursive: true, force: true })
  })

  const urls = ports.slice(0, 3).map(port => urlOf(port, 'operator'))
  const connect = async (server?: string): Promise<Nats> => {
    const nats = await connectNats({ servers: server ?? urls, name: 'test' })
    closers.push(() => nats.close())
    return nats
  }
  const { connection } = await connect()
  for (;;)
    try {
      await applyStreams(connection, loadStreams({ replicas: 3 }))
      break
    } catch {
      // The cluster has no leader yet.
      await sleep(100)
    }

  return {
    urls,
    connect,
    stop: (index, stopped) => {
      process.kill(servers[index]!.pid, stopped ? 'SIGSTOP' : 'SIGCONT')
    },
    kill9: async index => {
      const server = servers[index]
      if (server === undefined) return
      process.kill(server.pid, 'SIGKILL')
      await server.ended
    },
    restart: async index => {
      servers[index] = await start(index)
      // Wait like an operator in a rolling restart: the next server may be killed only when this one takes part again.
      while (!(await isHealthy(ports[index + 6]!))) await sleep(50)
    },
  }
}
