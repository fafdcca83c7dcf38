import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectNats, type Nats, type NatsOptions } from '../../src/infra/nats/client/connection.ts'
import { findNatsServer } from '../../src/infra/nats/embedded/nats-binary.ts'
import { configFileOf, embeddedUrl, writeRecord } from '../../src/infra/nats/embedded/server-address.ts'
import { type Durability, serverConfig, spawnServer } from '../../src/infra/nats/embedded/server-process.ts'
import { type Applied, applyStreams, loadStreams } from '../../src/infra/nats/log/streams.ts'
import type { NatsUser } from '../../src/infra/nats/rights/rights.ts'
import { type CuttingProxy, startProxy } from './nats-proxy.ts'
import { inboxPrefixOf, includeUsers, passwordOf, urlOf, userPasswords } from './nats-users.ts'

export type { CuttingProxy } from './nats-proxy.ts'

export interface StartNatsOptions {
  readonly durability?: Durability
  /** Whether to apply the streams. Default: true. */
  readonly streams?: boolean
  /** Additional lines of configuration. */
  readonly more?: string
  /** The block `authorization` on one line. Default: one user, who may do everything. */
  readonly authorization?: string
  /** Whether the server has the users of nats/users.conf. */
  readonly hasUsers?: boolean
}

const confabCredentials = { user: 'confab', password: 'the-password-of-a-test' }
const adminCredentials = { user: 'operator', password: passwordOf('operator') }

/** A real nats-server for one test, in a folder of its own. */
export interface TestNats {
  /** For a user who may do everything. */
  readonly url: string
  readonly port: number
  readonly dataDir: string
  readonly pid: number
  /** Opens a connection that is closed at the end. `server`: another address, such as a proxy's. */
  connect(server?: string): Promise<Nats>
  /** The same, as a user of nats/users.conf. */
  connectAs(user: NatsUser, more?: Partial<NatsOptions>): Promise<Nats>
  /** The lines of the server's log about what it refused to users. */
  violations(): string[]
  applyStreams(counts?: { conv?: number; user?: number }): Promise<readonly Applied[]>
  /** Creates a proxy that can cut connections. */
  proxy(): Promise<CuttingProxy & { readonly url: string }>
  /** Kills the server; it stays down until `restart`. */
  kill9(): Promise<void>
  /** Starts it again with the same port and data. */
  restart(): Promise<void>
}

interface Teardown {
  teardown(fn: () => unknown): void
}

/**
 * Starts a nats-server in a temporary folder on a free port, with confab's streams; everything is removed when the
 * test ends.
 */
export const startNats = async (t: Teardown, options: StartNatsOptions = {}): Promise<TestNats> => {
  const dataDir = realpathSync(mkdtempSync(join(tmpdir(), 'confab-nats-')))
  const natsDir = join(dataDir, 'nats')
  const credentials = options.hasUsers ? adminCredentials : confabCredentials
  mkdirSync(natsDir)
  const { path: binary } = await findNatsServer()
  const closers: (() => Promise<void>)[] = []

  const authorization = options.hasUsers ? includeUsers(natsDir) : options.authorization
  const start = async (port: number) => {
    const places = { logFile: join(natsDir, 'nats-server.log'), portsDir: natsDir }
    const durability = options.durability ?? 'default'
    const config = serverConfig({
      name: 'test',
      port,
      storeDir: natsDir,
      durability,
      credentials,
      ...places,
    })
    writeFileSync(
      configFileOf(dataDir),
      `${authorization === undefined ? config : config.replace(/^authorization .*$/m, () => authorization)}${options.more ?? ''}\n`,
    )
    const env = options.hasUsers ? userPasswords() : {}
    const started = await spawnServer(binary, configFileOf(dataDir), { ...places, env })
    writeRecord(dataDir, { url: embeddedUrl(started.port, credentials), pid: started.pid })
    return started
  }
  let server = await start(0)
  const { port } = server
  const url = embeddedUrl(port, credentials)
  t.teardown(async () => {
    await Promise.all(closers.map(close => close()))
    await server.stop()
    rmSync(dataDir, { recursive: true, force: true })
  })

  const nats: TestNats = {
    url,
    port,
    dataDir,
    get pid() {
      return server.pid
    },
    connect: async (servers = url) => {
      const connected = await connectNats({ servers, name: 'test' })
      closers.push(() => connected.close())
      return connected
    },
    connectAs: async (user, more = {}) => {
      const connected = await connectNats({
        servers: urlOf(port, user),
        name: `test ${user}`,
        inboxPrefix: inboxPrefixOf(user),
        ...more,
      })
      closers.push(() => connected.close())
      return connected
    },
    violations: () =>
      readFileSync(join(natsDir, 'nats-server.log'), 'utf8')
        .split('\n')
        .filter(line => line.includes('Violation')),
    applyStreams: async (counts = {}) => {
      const { connection, close } = await connectNats({ servers: url, name: 'test streams' })
      try {
        return await applyStreams(connection, loadStreams(counts))
      } finally {
        await close()
      }
    },
    proxy: async () => {
      const proxy = await startProxy(port)
      closers.push(() => proxy.close())
      return { ...proxy, url: embeddedUrl(proxy.port, credentials) }
    },
    kill9: async () => {
      process.kill(server.pid, 'SIGKILL')
      await server.ended
    },
    restart: async () => {
      await server.stop()
      server = await start(port)
    },
  }
  if (options.streams ?? true) await nats.applyStreams()
  return nats
}
