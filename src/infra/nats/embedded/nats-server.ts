import { mkdirSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { asDataError, NatsError, NatsProblem } from '../client/nats-error.ts'
import { findNatsServer } from './nats-binary.ts'
import { findRunningServer } from './server-address.ts'
import type { Durability } from './server-process.ts'
import { KeptServer, urlOfPort } from './server-supervisor.ts'

export interface FolderLock {
  release(): void
}

/**
 * Holds a folder for this process; undefined while another one does. An exclusive transaction on an empty SQLite file: the operating system drops that
 * lock whenever its process ends, on kill -9 too, so that there is no stale lock to judge. (Node has no flock of its own.)
 */
export const lockFolder = (folder: string): FolderLock | undefined => {
  const database = new DatabaseSync(join(folder, 'lock'), { timeout: 0 })
  try {
    database.exec('PRAGMA journal_mode = OFF; BEGIN EXCLUSIVE')
  } catch (error) {
    database.close()
    if ((error as { errcode?: number }).errcode === 5) return undefined
    throw error
  }
  return { release: () => database.close() }
}

export interface NatsServerOptions {
  /** Its files go to `<dataDir>/nats`, its place is told in `<dataDir>/nats.json`. Made when it is not there. */
  readonly dataDir: string
  /** Default: the one that this folder's server had last, when it is free; else any free one. */
  readonly port?: number
  /** Default: `default`. */
  readonly durability?: Durability
  /** Told of what an operator may want to know: fetching, an unexpected end, a restart, a full disk. */
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

/**
 * A nats-server on a data folder: ours, restarted when it dies and ended when we do (by whatever signal); or the one that another process keeps
 * there already. Resolves when it takes connections. Throws NatsError.
 */
export const startNatsServer = async (options: NatsServerOptions): Promise<NatsServer> => {
  const { port, durability = 'default', onNotice: tell = () => {} } = options
  let dataDir: string
  try {
    mkdirSync(join(options.dataDir, 'nats'), { recursive: true })
    dataDir = realpathSync(options.dataDir)
  } catch (error) {
    throw asDataError(options.dataDir, error)
  }
  const lock = await lockOrAttach(dataDir)
  if ('url' in lock) return lock
  try {
    const binary = await findNatsServer(tell)
    const kept = await KeptServer.start({ dataDir, binary, port, durability, tell })
    return {
      url: urlOfPort(kept.port),
      get pid() {
        return kept.pid
      },
      isOurs: true,
      stop: async () => {
        await kept.stop()
        lock.release()
      },
    }
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
      throw new NatsError(
        NatsProblem.unwritable,
        `the data folder ${dataDir} cannot be written: ${String(error)}`,
        error,
      )
    }
    if (lock !== undefined) return lock
    const running = findRunningServer(dataDir)
    if (running !== undefined) return { ...running, isOurs: false, stop: async () => {} }
    await sleep(50)
  }
  throw new NatsError(NatsProblem.busy, `another process holds ${dataDir}, but no server of its runs`)
}
