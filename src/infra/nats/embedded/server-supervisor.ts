import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { backoffMs } from '../../../base/backoff.ts'
import { writePrivateFile } from '../../../base/private-files.ts'
import { sleep } from '../../../base/sleep.ts'
import { NatsError } from '../client/nats-error.ts'
import {
  type Credentials,
  configFileOf,
  credentialsOf,
  embeddedUrl,
  endLeftover,
  readRecord,
  writeRecord,
} from './server-address.ts'
import { type Durability, type ServerProcess, serverConfig, spawnServer } from './server-process.ts'
import { watchStorage } from './storage-watch.ts'

export interface ServerSupervisorOptions {
  readonly dataDir: string
  readonly binary: string
  readonly port: number | undefined
  readonly durability: Durability
  readonly onNotice: (notice: string) => void
}

const restartBackoff = { firstMs: 50, maxMs: 5_000, jitter: 0 }
/** A server that ran for this time was healthy: its end resets the back-off. */
const healthyAfterMs = 10_000

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const isPortTaken = (error: unknown): boolean =>
  NatsError.is(error) && error.message.includes('address already in use')

/** Keeps a nats-server running on a data folder that this process has locked: restarts it whenever it ends. */
export class ServerSupervisor {
  /** Address with credentials. */
  readonly url: string
  readonly #options: ServerSupervisorOptions
  readonly #credentials: Credentials
  readonly #stopping = new AbortController()
  readonly #supervision: Promise<void>
  readonly #unwatch: () => void
  #server: ServerProcess

  /** Starts the server and its supervision. Rejects with NatsError, or with an error of the file system. */
  static async start(options: ServerSupervisorOptions): Promise<ServerSupervisor> {
    const { dataDir } = options
    await endLeftover(dataDir)
    const lastPort = Number(URL.parse(readRecord(dataDir)?.url ?? '')?.port ?? 0)
    const credentials = credentialsOf(dataDir)
    const server = await spawnAt(options, credentials, options.port ?? lastPort).catch(error => {
      if (options.port !== undefined || !isPortTaken(error)) throw error
      return spawnAt(options, credentials, 0)
    })
    return new ServerSupervisor(options, credentials, server)
  }

  constructor(options: ServerSupervisorOptions, credentials: Credentials, server: ServerProcess) {
    this.#options = options
    this.#credentials = credentials
    this.#server = server
    this.url = embeddedUrl(server.port, credentials)
    this.#supervision = this.#supervise()
    this.#unwatch = watchStorage(join(options.dataDir, 'nats'), logFileOf(options), {
      onNotice: options.onNotice,
      recover: () => {
        options.onNotice('disk space is available again: restarting nats-server')
        void this.#server.stop()
      },
    })
  }

  get pid(): number {
    return this.#server.pid
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#unwatch()
    await this.#server.stop()
    await this.#supervision
  }

  async #supervise(): Promise<void> {
    const { signal } = this.#stopping
    let restarts = 0
    for (;;) {
      const startedAt = performance.now()
      const how = await this.#server.ended
      if (signal.aborted) return
      this.#options.onNotice(`nats-server ended (${how}), restarting`)
      if (performance.now() - startedAt > healthyAfterMs) restarts = 0
      let next: ServerProcess | undefined
      while (next === undefined) {
        await sleep(backoffMs(++restarts, restartBackoff), signal)
        if (signal.aborted) return
        next = await spawnAt(this.#options, this.#credentials, this.#server.port).catch(error => {
          this.#options.onNotice(`nats-server does not start, retrying: ${messageOf(error)}`)
          return undefined
        })
      }
      this.#server = next
      if (signal.aborted) await next.stop()
    }
  }
}

const logFileOf = ({ dataDir }: ServerSupervisorOptions): string => join(dataDir, 'nats', 'nats-server.log')

const spawnAt = async (
  options: ServerSupervisorOptions,
  credentials: Credentials,
  port: number,
): Promise<ServerProcess> => {
  const { dataDir, durability, binary } = options
  const natsDir = join(dataDir, 'nats')
  const paths = { logFile: logFileOf(options), portsDir: natsDir }
  const configFile = configFileOf(dataDir)
  // A killed server leaves its ports file.
  for (const name of readdirSync(natsDir))
    if (name.endsWith('.ports')) rmSync(join(natsDir, name), { force: true })
  const config = { name: 'confab', port, storeDir: natsDir, durability, credentials, ...paths }
  writePrivateFile(configFile, serverConfig(config))
  const server = await spawnServer(binary, configFile, paths)
  try {
    writeRecord(dataDir, { url: embeddedUrl(server.port, credentials), pid: server.pid })
  } catch (error) {
    await server.stop()
    throw error
  }
  return server
}
