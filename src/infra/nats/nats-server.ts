import { mkdirSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type FolderLock, lockFolder } from './folder-lock.ts'
import { findNatsServer } from './nats-binary.ts'
import { type Durability, serverConfig } from './nats-config.ts'
import { asDataError, NatsError, NatsProblem } from './nats-error.ts'
import { type ServerProcess, spawnServer } from './server-process.ts'
import { configFileOf, endLeftover, findRunningServer, readRecord, writeRecord } from './server-record.ts'

export interface NatsServerOptions {
  /** Its files go to `<dataDir>/nats`, its place is told in `<dataDir>/nats.json`. Made when it is not there. */
  readonly dataDir: string
  /** Default: the one that this folder's server had last, when it is free; else any free one. */
  readonly port?: number
  /** Default: `default`. */
  readonly durability?: Durability
  /** Told of what an operator may want to know: fetching, an unexpected end, a restart. */
  readonly onNotice?: (notice: string) => void
}

export interface NatsServer {
  /** `nats://127.0.0.1:<port>`; stays the same over restarts. */
  readonly url: string
  /** Of the server's process; changes when it is restarted. */
  readonly pid: number
  /** False: another process keeps it, this one only uses it. */
  readonly isOurs: boolean
  /** Ends it when it is ours. */
  stop(): Promise<void>
}

const urlOf = (port: number): string => `nats://127.0.0.1:${port}`

const isPortTaken = (error: unknown): boolean =>
  NatsError.is(error) && error.message.includes('address already in use')

/**
 * A nats-server on a data folder: ours, restarted when it dies and ended when we do (by whatever signal); or the one that another process keeps
 * there already. Resolves when it takes connections. Throws NatsError.
 */
export const startNatsServer = async (options: NatsServerOptions): Promise<NatsServer> => {
  const natsDir = join(options.dataDir, 'nats')
  let dataDir: string
  try {
    mkdirSync(natsDir, { recursive: true })
    dataDir = realpathSync(options.dataDir)
  } catch (error) {
    throw asDataError(options.dataDir, error)
  }
  const lock = await lockOrAttach(dataDir)
  if ('url' in lock) return lock
  try {
    return await keepServer(dataDir, options, lock)
  } catch (error) {
    lock.release()
    throw asDataError(dataDir, error)
  }
}

/** The folder's lock; or, while another process has it, that one's server. It may be starting, or going: up to 10 s. */
const lockOrAttach = async (dataDir: string): Promise<FolderLock | NatsServer> => {
  for (let tries = 0; tries < 200; tries++) {
    let lock: FolderLock | undefined
    try {
      lock = lockFolder(join(dataDir, 'nats'))
    } catch (error) {
      throw new NatsError(NatsProblem.unwritable, `the data folder ${dataDir} cannot be written`, error)
    }
    if (lock !== undefined) return lock
    const running = findRunningServer(dataDir)
    if (running !== undefined) return { ...running, isOurs: false, stop: async () => {} }
    await sleep(50)
  }
  throw new NatsError(NatsProblem.busy, `another process holds ${dataDir}, but no server of its runs`)
}

const keepServer = async (
  dataDir: string,
  options: NatsServerOptions,
  lock: FolderLock,
): Promise<NatsServer> => {
  const tell = options.onNotice ?? (() => {})
  const natsDir = join(dataDir, 'nats')
  const binary = await findNatsServer(tell)
  await endLeftover(dataDir)
  for (const name of readdirSync(natsDir))
    if (name.endsWith('.ports')) rmSync(join(natsDir, name), { force: true })

  const spawnAt = async (port: number): Promise<ServerProcess> => {
    const places = { logFile: join(natsDir, 'nats-server.log'), portsDir: natsDir }
    const durability = options.durability ?? 'default'
    writeFileSync(
      configFileOf(dataDir),
      serverConfig({ name: 'confab', port, storeDir: natsDir, durability, ...places }),
    )
    const server = await spawnServer(binary, configFileOf(dataDir), places)
    try {
      writeRecord(dataDir, { url: urlOf(server.port), pid: server.pid })
    } catch (error) {
      await server.stop()
      throw error
    }
    return server
  }

  const lastPort = Number(new URL(readRecord(dataDir)?.url ?? 'nats://x:0').port)
  let server = await spawnAt(options.port ?? lastPort).catch(error => {
    if (options.port !== undefined || !isPortTaken(error)) throw error
    return spawnAt(0)
  })
  const { port } = server
  const stopping = new AbortController()

  const supervise = async (): Promise<void> => {
    let backOff = 50
    for (;;) {
      const since = Date.now()
      const how = await server.ended
      if (stopping.signal.aborted) return
      tell(`nats-server ended (${how}); starting it again`)
      if (Date.now() - since > 10_000) backOff = 50
      for (let isUp = false; !isUp && !stopping.signal.aborted; backOff = Math.min(backOff * 2, 5_000))
        try {
          server = await spawnAt(port)
          isUp = true
        } catch (error) {
          tell(`nats-server does not start: ${error instanceof Error ? error.message : String(error)}`)
          await sleep(backOff, undefined, { signal: stopping.signal }).catch(() => {})
        }
      if (stopping.signal.aborted) await server.stop()
    }
  }
  const supervision = supervise()

  return {
    url: urlOf(port),
    get pid() {
      return server.pid
    },
    isOurs: true,
    stop: async () => {
      stopping.abort()
      await server.stop()
      await supervision
      lock.release()
    },
  }
}
