import { isIP } from 'node:net'
import { checkServerIdentity, type ConnectionOptions as TlsConnectionOptions } from 'node:tls'
import {
  type ConnectionOptions,
  connect,
  createInbox,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
  PermissionViolationError,
  type Subscription,
  type TlsOptions,
} from '@nats-io/transport-node'
import { readTlsFiles, type TlsFiles } from '../../../base/tls-files.ts'
import { defaultInboxPrefix } from './inbox-options.ts'
import { isAuthorizationError, NatsError, NatsProblem } from './nats-error.ts'
import { type Refusal, RefusalReports, refusalText } from './refusals.ts'

export interface NatsOptions {
  /** `nats://host:port`, one or several servers of one system. The URL may contain credentials. */
  readonly servers: string | readonly string[]
  /** Files of certificates; their connections require TLS. Renewed files are read with the next connection. */
  readonly tls?: TlsFiles | undefined
  /** Name of the connection in the server's monitoring. Default: `confab`. */
  readonly name?: string
  /** Prefix of the subjects on which this connection receives answers. Default: `_INBOX`. */
  readonly inboxPrefix?: string | undefined
  /** Interval of pings, ms. Two pings without an answer end the connection. Default: 5,000. */
  readonly pingMs?: number
  /** Receives disconnects, reconnects and errors of the connection. */
  readonly onNotice?: (notice: string) => void
  /** Receives errors that listeners threw. Default: `onNotice`, as text with the error's code. */
  readonly onListenerError?: (error: unknown, listener: string) => void
  /** Receives what the server refused for want of rights. Default: `onNotice`, as text with the code. */
  readonly onRefusal?: (refusal: Refusal) => void
}

/** A connection to NATS that reconnects until it is closed. */
export interface Nats {
  readonly connection: NatsConnection
  /** Whether the connection is up now. */
  connected(): boolean
  /**
   * Calls `listener` after each reconnect, when the subscriptions are in place again, and after each disconnect.
   * Returns a function that removes the listener.
   */
  onChange(listener: (connected: boolean) => void): () => void
  /** Calls `listener` with each subject that the server refused to publish to. Returns a function that removes it. */
  onRefusedPublish(listener: (subject: string) => void): () => void
  /** Returns a new subject for answers, under the prefix of this connection. */
  newInbox(): string
  /**
   * The user of this connection: that of the URL, or else the name in its certificate. Undefined for a token, and
   * without credentials.
   */
  readonly user: string | undefined
  /**
   * Subscribes to a subject. An error of `listener`, thrown or rejected, is reported as `listenerFailed` does, and the
   * subscription continues: nats.js stops reading from the server when a callback throws.
   */
  subscribe(subject: string, listener: (msg: Msg) => unknown): Subscription
  /** Reports an error of a listener. `listener` names what the listener was called for. Never throws. */
  listenerFailed(error: unknown, listener: string): void
  /** Finishes the work in progress, then closes. */
  close(): Promise<void>
}

const withCredentials = (servers: readonly string[]): Partial<ConnectionOptions> => {
  const url = URL.canParse(servers[0] ?? '') ? new URL(servers[0] ?? '') : undefined
  if (url === undefined || url.username === '') return {}
  const user = decodeURIComponent(url.username)
  return url.password === '' ? { token: user } : { user, pass: decodeURIComponent(url.password) }
}

/**
 * Checks whether a certificate names a server. For a server with an IP address nats.js lets Node check `localhost`; the
 * certificate then has to name an address of `servers`.
 */
const identityOf = (servers: readonly string[]): typeof checkServerIdentity => {
  const hosts = servers
    .filter(url => URL.canParse(url))
    .map(url => new URL(url).hostname.replace(/^\[(.+)\]$/, '$1'))
  const addresses = hosts.filter(host => isIP(host) !== 0)
  const isName = addresses.length === 0 || hosts.includes('localhost')
  return (host, certificate) => {
    if (isName || host !== 'localhost') return checkServerIdentity(host, certificate)
    const problems = addresses.map(address => checkServerIdentity(address, certificate))
    return problems.includes(undefined) ? undefined : problems[0]
  }
}

/**
 * With these options nats.js refuses servers that offer no TLS. Without them it uses TLS only where a server does.
 * nats.js itself reads the files, with each connection. Throws TlsError.
 */
const withTls = (servers: readonly string[], files: TlsFiles = {}): Partial<ConnectionOptions> => {
  const { certificates } = readTlsFiles('nats', files)
  if (certificates.length === 0 && !servers.some(server => server.startsWith('tls://'))) return {}
  const { caFile, certFile, keyFile } = files
  // nats.js passes further options on to Node. Its types do not have them.
  const tls: TlsOptions & Pick<TlsConnectionOptions, 'checkServerIdentity'> = {
    checkServerIdentity: identityOf(servers),
    ...(caFile === undefined ? {} : { caFile }),
    ...(certFile === undefined ? {} : { certFile }),
    ...(keyFile === undefined ? {} : { keyFile }),
  }
  return { tls }
}

const withoutCredentials = (server: string): string => server.replace(/^(\w+:\/\/)[^/]*@/, '$1')

/** Returns the code of an error, or else its class. */
export const errorCodeOf = (error: unknown): string => {
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown }
  return String(code ?? name ?? 'unknown')
}

/**
 * Connects to NATS. Rejects with NatsError when no server can be reached, and with TlsError for wrong files. The
 * connection reconnects with jitter, without a limit of attempts.
 */
export const connectNats = async (options: NatsOptions): Promise<Nats> => {
  const servers = typeof options.servers === 'string' ? options.servers.split(',') : options.servers
  const inboxPrefix = options.inboxPrefix ?? defaultInboxPrefix
  const credentials = withCredentials(servers)
  const tls = withTls(servers, options.tls)
  const { name: certified } = readTlsFiles('nats', options.tls ?? {})
  let connection: NatsConnection
  try {
    connection = await connect({
      servers: servers.map(withoutCredentials),
      ...credentials,
      ...tls,
      name: options.name ?? 'confab',
      inboxPrefix,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 100,
      reconnectJitter: 200,
      reconnectJitterTLS: 200,
      pingInterval: options.pingMs ?? 5_000,
      // nats.js misses the end of a socket between its connect and the server's first answer. It retries after this
      // timeout (default 20 s).
      timeout: 3_000,
      ignoreAuthErrorAbort: true,
      noAsyncTraces: true,
    })
  } catch (error) {
    const where = servers.map(withoutCredentials).join(', ')
    const reason = error instanceof Error ? error.message : String(error)
    if (isAuthorizationError(error))
      throw new NatsError(
        NatsProblem.rights,
        certified === undefined || 'user' in credentials
          ? `NATS at ${where} refuses the credentials: correct user and password in the addresses (CONFAB_NATS)`
          : `NATS at ${where} has no user for the certificate of ${certified} in ${options.tls?.certFile}: use that of a user (CONFAB_NATS_TLS_CERT), or user and password in the addresses (CONFAB_NATS)`,
        error,
      )
    throw new NatsError(
      NatsProblem.failed,
      `NATS cannot be reached at ${where}: ${reason}: start nats-server there, or correct the addresses (--nats, CONFAB_NATS)`,
      error,
    )
  }

  let isConnected = true
  const listeners = new Set<(connected: boolean) => void>()

  const listenerFailed = (error: unknown, listener: string): void => {
    try {
      if (options.onListenerError !== undefined) options.onListenerError(error, listener)
      else
        options.onNotice?.(`nats: a listener of ${listener} failed (${errorCodeOf(error)}): ${String(error)}`)
    } catch {
      // There is no other place to report it.
    }
  }
  const guarded = (listener: string, call: () => void): void => {
    try {
      call()
    } catch (error) {
      listenerFailed(error, listener)
    }
  }
  const changed = (connected: boolean): void => {
    isConnected = connected
    for (const listener of listeners) guarded('connection changes', () => listener(connected))
  }
  const notice = (text: string): void =>
    guarded('connection notices', () => options.onNotice?.(`nats: ${text}`))

  const user = 'user' in credentials ? credentials.user : certified
  const refusedPublishListeners = new Set<(subject: string) => void>()
  const reports = new RefusalReports()
  const refused = ({ operation, subject }: PermissionViolationError): void => {
    if (operation === 'publish')
      for (const listener of refusedPublishListeners) guarded('refused messages', () => listener(subject))
    if (!reports.isNew(operation, subject)) return
    const refusal = { operation, subject, user }
    if (options.onRefusal === undefined) notice(refusalText(refusal))
    else guarded('refusals', () => options.onRefusal?.(refusal))
  }

  const watchStatus = async (): Promise<void> => {
    for await (const status of connection.status()) {
      if (status.type === 'disconnect' || status.type === 'reconnect') {
        changed(status.type === 'reconnect')
        notice(status.type)
      } else if (status.type === 'error') {
        if (status.error instanceof PermissionViolationError) refused(status.error)
        else notice(status.error.message)
      } else if (status.type === 'ldm' || status.type === 'staleConnection') notice(status.type)
    }
    isConnected = false
  }
  watchStatus().catch(error => listenerFailed(error, 'connection status'))

  return {
    connection,
    // A connection that drains takes no more messages: publishing on it throws.
    connected: () => isConnected && !connection.isClosed() && !connection.isDraining(),
    onChange: listener => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    onRefusedPublish: listener => {
      refusedPublishListeners.add(listener)
      return () => refusedPublishListeners.delete(listener)
    },
    newInbox: () => createInbox(inboxPrefix),
    user,
    subscribe: (subject, listener) =>
      connection.subscribe(subject, {
        callback: (error, msg) => {
          if (error !== null) {
            // The status of the connection reports a refused subscription.
            if (!(error instanceof PermissionViolationError)) listenerFailed(error, subject)
            return
          }
          try {
            const result = listener(msg)
            if (result instanceof Promise) result.catch(rejection => listenerFailed(rejection, subject))
          } catch (thrown) {
            listenerFailed(thrown, subject)
          }
        },
      }),
    listenerFailed,
    close: async () => {
      if (connection.isClosed()) return
      // Draining needs the server.
      await (isConnected ? connection.drain().catch(() => connection.close()) : connection.close())
    },
  }
}

/** Returns a header block, written as text, as headers for `publish`. nats.js calls only `encode`. */
export const rawHeaders = (block: string): MsgHdrs => {
  const bytes = Buffer.from(block, 'latin1')
  return { encode: () => bytes } as unknown as MsgHdrs
}

/** Why no further answer can arrive. `refused`: the user of the connection may not publish the request. */
export type RequestFailure = 'timeout' | 'disconnected' | 'refused'

/** A request that waits for one or more answers. */
export interface PendingRequest {
  /** The tick after which the request has timed out. Set by the inbox. */
  deadline?: number
  /** The subject of the request. The request fails when the server refuses to publish to it. */
  readonly subject: string
  /** Takes an answer. Returns true when it was the last. */
  answer(msg: Msg): boolean
  /** Called when no further answer can arrive. */
  fail(why: RequestFailure): void
}

const tickMs = 250

/**
 * Receives the answers to the requests of one component over one wildcard subscription. One timer serves all requests:
 * nats.js makes a timer and three promises for each request, which is most of a request's cost.
 */
export class ReplyInbox {
  readonly #nats: Nats
  readonly #prefix: string
  readonly #subscription: Subscription
  readonly #timer: NodeJS.Timeout
  readonly #timeoutTicks: number
  readonly #unlisteners: readonly (() => void)[]
  readonly #pending = new Map<number, PendingRequest>()
  #nextToken = 0
  #tick = 0

  /** `timeoutMs`: the longest silence before a request fails, accurate to 250 ms. */
  constructor(nats: Nats, timeoutMs: number) {
    this.#nats = nats
    this.#timeoutTicks = Math.ceil(timeoutMs / tickMs) + 1
    this.#prefix = `${nats.newInbox()}.`
    this.#subscription = nats.subscribe(`${this.#prefix}*`, msg => this.#answer(msg))
    this.#timer = setInterval(() => this.#sweep(), tickMs)
    this.#timer.unref()
    this.#unlisteners = [
      // The connection may have lost the request or its answer.
      nats.onChange(() => this.#failAll('disconnected')),
      nats.onRefusedPublish(subject => this.#failRefused(subject)),
    ]
  }

  /** Number of pending requests. */
  get size(): number {
    return this.#pending.size
  }

  /** Registers a request and returns the subject for its answers. */
  expect(request: PendingRequest): string {
    const token = this.#nextToken++
    request.deadline = this.#tick + this.#timeoutTicks
    this.#pending.set(token, request)
    return this.#prefix + token
  }

  close(): void {
    clearInterval(this.#timer)
    for (const unlisten of this.#unlisteners) unlisten()
    this.#subscription.unsubscribe()
    this.#failAll('disconnected')
  }

  #answer(msg: Msg): void {
    const token = Number(msg.subject.slice(this.#prefix.length))
    const request = this.#pending.get(token)
    if (request === undefined) return
    if (request.answer(msg)) this.#pending.delete(token)
    else request.deadline = this.#tick + this.#timeoutTicks
  }

  #sweep(): void {
    this.#tick++
    for (const [token, request] of this.#pending)
      if ((request.deadline ?? 0) < this.#tick) {
        this.#pending.delete(token)
        this.#fail(request, 'timeout')
      }
  }

  #failAll(why: 'disconnected'): void {
    const all = [...this.#pending.values()]
    this.#pending.clear()
    for (const request of all) this.#fail(request, why)
  }

  /** The server names the subject that it refused, not the message: all requests to the subject have failed. */
  #failRefused(subject: string): void {
    for (const [token, request] of this.#pending)
      if (request.subject === subject) {
        this.#pending.delete(token)
        this.#fail(request, 'refused')
      }
  }

  /** The other requests fail too when one of them throws. */
  #fail(request: PendingRequest, why: RequestFailure): void {
    try {
      request.fail(why)
    } catch (error) {
      this.#nats.listenerFailed(error, 'a pending request')
    }
  }
}
