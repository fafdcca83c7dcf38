import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { NatsError } from '../client/nats-error.ts'
import { configFileOf, endLeftover, readRecord, writeRecord } from './server-address.ts'
import { type Durability, type ServerProcess, serverConfig, spawnServer } from './server-process.ts'
import { watchStorage } from './storage-watch.ts'

export interface KeptServerOptions {
  readonly dataDir: string
  readonly binary: string
  readonly port: number | undefined
  readonly durability: Durability
  readonly tell: (notice: string) => void
}

const firstBackOffMs = 50
const maxBackOffMs = 5_000
/** A server that lived this long was well; its end starts the back-off anew. */
const wellAfterMs = 10_000

export const urlOfPort = (port: number): string => `nats://127.0.0.1:${port}`

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const isPortTaken = (error: unknown): boolean =>
  NatsError.is(error) && error.message.includes('address already in use')

/** A nats-server that this process keeps running on a data folder, whose lock it holds. */
export class KeptServer {
  readonly port: number
  readonly #options: KeptServerOptions
  readonly #stopping = new AbortController()
  readonly #supervision: Promise<void>
  readonly #unwatch: () => void
  #server: ServerProcess

  /** Rejects with NatsError, or with the file system's error. */
  static async start(options: KeptServerOptions): Promise<KeptServer> {
    const { dataDir } = options
    await endLeftover(dataDir)
    const lastPort = Number(new URL(readRecord(dataDir)?.url ?? urlOfPort(0)).port)
    const server = await spawnAt(options, options.port ?? lastPort).catch(error => {
      if (options.port !== undefined || !isPortTaken(error)) throw error
      return spawnAt(options, 0)
    })
    return new KeptServer(options, server)
  }

  constructor(options: KeptServerOptions, server: ServerProcess) {
    this.#options = options
    this.#server = server
    this.port = server.port
    this.#supervision = this.#supervise()
    this.#unwatch = watchStorage(join(options.dataDir, 'nats'), logFileOf(options), {
      tell: options.tell,
      recover: () => {
        options.tell('there is room again')
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
    let backOff = firstBackOffMs
    for (;;) {
      const startedAt = performance.now()
      const how = await this.#server.ended
      if (signal.aborted) return
      this.#options.tell(`nats-server ended (${how}); starting it again`)
      if (performance.now() - startedAt > wellAfterMs) backOff = firstBackOffMs
      let next: ServerProcess | undefined
      while (next === undefined) {
        await sleep(backOff, undefined, { signal }).catch(() => {})
        if (signal.aborted) return
        backOff = Math.min(backOff * 2, maxBackOffMs)
        next = await spawnAt(this.#options, this.port).catch(error => {
          this.#options.tell(`nats-server does not start: ${messageOf(error)}`)
          return undefined
        })
      }
      this.#server = next
      if (signal.aborted) await next.stop()
    }
  }
}

const logFileOf = ({ dataDir }: KeptServerOptions): string => join(dataDir, 'nats', 'nats-server.log')

const spawnAt = async (options: KeptServerOptions, port: number): Promise<ServerProcess> => {
  const { dataDir, durability, binary } = options
  const natsDir = join(dataDir, 'nats')
  const places = { logFile: logFileOf(options), portsDir: natsDir }
  const configFile = configFileOf(dataDir)
  // A killed server leaves its ports file behind.
  for (const name of readdirSync(natsDir))
    if (name.endsWith('.ports')) rmSync(join(natsDir, name), { force: true })
  writeFileSync(configFile, serverConfig({ name: 'confab', port, storeDir: natsDir, durability, ...places }))
  const server = await spawnServer(binary, configFile, places)
  try {
    writeRecord(dataDir, { url: urlOfPort(server.port), pid: server.pid })
  } catch (error) {
    await server.stop()
    throw error
  }
  return server
}
