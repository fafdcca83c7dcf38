import { realpathSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { makePrivateFolder } from '../../../base/private-files.ts'
import { sleep } from '../../../base/sleep.ts'
import { asDataError, NatsError, NatsProblem } from '../client/nats-error.ts'
import type { FetchProgress } from './fetch-server.ts'
import { findNatsServer, type NatsBinary } from './nats-binary.ts'
import { findRunningServer } from './server-address.ts'
import type { Durability } from './server-process.ts'
import { ServerSupervisor } from './server-supervisor.ts'

export interface FolderLock {
  release(): void
}

/**
 * Locks a folder for this process. Returns undefined while another process holds the lock.
 *
 * The lock is an exclusive transaction on an empty SQLite file, since Node has no `flock`. The operating system
 * releases it when the process ends, also after SIGKILL, so no stale lock can remain.
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
  /** The server's files are in `<dataDir>/nats`, its address in `<dataDir>/nats.json`. Created when missing. */
  readonly dataDir: string
  /** Default: the last port of this folder's server if it is free, else any free port. */
  readonly port?: number
  /** Default: `default`. */
  readonly durability?: Durability
  /** Receives facts for operators: an unexpected end of the server, a restart, a full disk. */
  readonly onNotice?: (notice: string) => void
  /** Called about once a second while a nats-server is fetched, and with undefined when that has ended. */
  readonly onFetch?: (progress: FetchProgress | undefined) => void
  /** Ends the wait for the folder's lock, and a fetch. */
  readonly signal?: AbortSignal
}

export interface NatsServer {
  /** `nats://<user>:<password>@127.0.0.1:<port>`; restarts keep it. */
  readonly url: string
  /** Process id of the server; changes when it is restarted. */
  readonly pid: number
  /** Whether this process owns the server. If not, another process does. */
  readonly isOurs: boolean
  /** Stops the server if this process owns it. */
  stop(): Promise<void>
}

/**
 * Starts a nats-server on a data folder, or attaches to the server that another process runs there.
 *
 * An owned server is restarted when it ends unexpectedly, and ends with this process, whatever signal ends the process.
 * Resolves when the server accepts connections. Throws NatsError, or the reason of `signal` after an abort.
 */
export const startNatsServer = async (options: NatsServerOptions): Promise<NatsServer> => {
  const { port, durability = 'default', onNotice = () => {}, onFetch, signal } = options
  let dataDir: string
  try {
    makePrivateFolder(join(options.dataDir, 'nats'))
    dataDir = realpathSync(options.dataDir)
  } catch (error) {
    throw asDataError(options.dataDir, error)
  }
  const find = (): Promise<NatsBinary> => findNatsServer({ onProgress: onFetch, signal })
  // A fetch may take a minute. Other processes wait a few seconds for the lock, so the fetch comes before the lock.
  const found = findRunningServer(dataDir) === undefined ? await find() : undefined
  const lock = await lockOrAttach(dataDir, signal)
  if ('url' in lock) return lock
  try {
    const { path } = found ?? (await find())
    signal?.throwIfAborted()
    const supervisor = await ServerSupervisor.start({ dataDir, binary: path, port, durability, onNotice })
    return {
      url: supervisor.url,
      get pid() {
        return supervisor.pid
      },
      isOurs: true,
      stop: async () => {
        await supervisor.stop()
        lock.release()
      },
    }
  } catch (error) {
    lock.release()
    throw asDataError(dataDir, error)
  }
}

const attachAttempts = 200
const attachEveryMs = 50

/** Takes the folder's lock, or attaches to the owner's server. Waits up to 10 s while the owner starts or stops. */
const lockOrAttach = async (dataDir: string, signal?: AbortSignal): Promise<FolderLock | NatsServer> => {
  for (let attempt = 0; attempt < attachAttempts; attempt++) {
    signal?.throwIfAborted()
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
    await sleep(attachEveryMs, signal)
  }
  throw new NatsError(
    NatsProblem.busy,
    `another process holds the data folder ${dataDir}, but its nats-server does not run; stop that process`,
  )
}
