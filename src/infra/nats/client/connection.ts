import { type ConnectionOptions, connect, type NatsConnection } from '@nats-io/transport-node'
import { NatsError, NatsProblem } from './nats-error.ts'

export interface NatsOptions {
  /** `nats://host:port`, one or several, of one system. Credentials may stand in the URL. */
  readonly servers: string | readonly string[]
  /** Shown by the server's monitoring. Default: `confab`. */
  readonly name?: string
  /** Told of disconnects, reconnects and errors. */
  readonly onNotice?: (notice: string) => void
}

/** A connection to NATS that is made again for ever, and what is to know of it. */
export interface Nats {
  readonly connection: NatsConnection
  /** Whether it stands right now; readiness asks. */
  connected(): boolean
  /** Calls back at each reconnect, after the subscriptions are there again, and at each disconnect, until the returned function is called. */
  onChange(listener: (connected: boolean) => void): () => void
  /** Lets what is under way finish, then closes. */
  close(): Promise<void>
}

const withCredentials = (servers: readonly string[]): Partial<ConnectionOptions> => {
  const url = URL.canParse(servers[0] ?? '') ? new URL(servers[0] ?? '') : undefined
  if (url === undefined || url.username === '') return {}
  const user = decodeURIComponent(url.username)
  return url.password === '' ? { token: user } : { user, pass: decodeURIComponent(url.password) }
}

const withoutCredentials = (server: string): string => server.replace(/^(\w+:\/\/)[^@/]*@/, '$1')

/** Connects; rejects with NatsError when none of the servers can be reached. Afterwards it reconnects for ever, with jitter. */
export const connectNats = async (options: NatsOptions): Promise<Nats> => {
  const servers = typeof options.servers === 'string' ? options.servers.split(',') : options.servers
  let connection: NatsConnection
  try {
    connection = await connect({
      servers: servers.map(withoutCredentials),
      ...withCredentials(servers),
      name: options.name ?? 'confab',
      maxReconnectAttempts: -1,
      reconnectTimeWait: 100,
      reconnectJitter: 200,
      reconnectJitterTLS: 200,
      pingInterval: 5_000,
      // nats.js misses a socket's end between its connect and its first answer, and waits this long (20 s by default) before it tries again.
      timeout: 3_000,
      ignoreAuthErrorAbort: true,
      noAsyncTraces: true,
    })
  } catch (error) {
    const where = servers.map(withoutCredentials).join(', ')
    throw new NatsError(NatsProblem.failed, `NATS cannot be reached at ${where}: ${String(error)}`, error)
  }

  let isConnected = true
  const listeners = new Set<(connected: boolean) => void>()
  const watch = async (): Promise<void> => {
    for await (const status of connection.status()) {
      if (status.type === 'disconnect' || status.type === 'reconnect') {
        isConnected = status.type === 'reconnect'
        for (const listener of listeners) listener(isConnected)
        options.onNotice?.(`nats: ${status.type}`)
      } else if (status.type === 'error') options.onNotice?.(`nats: ${status.error.message}`)
      else if (status.type === 'ldm' || status.type === 'staleConnection')
        options.onNotice?.(`nats: ${status.type}`)
    }
    isConnected = false
  }
  void watch()

  return {
    connection,
    connected: () => isConnected && !connection.isClosed(),
    onChange: listener => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    close: async () => {
      if (connection.isClosed()) return
      // Draining waits for the server: without one there is nothing to wait for.
      await (isConnected ? connection.drain().catch(() => connection.close()) : connection.close())
    },
  }
}
