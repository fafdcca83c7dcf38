import type * as Uws from 'uWebSockets.js'
import type { Logger } from '../base/logger.ts'
import type { ServerTls } from '../base/tls-files.ts'
import type { CommandBus, Epochs, EventLog, LiveFeed, StateReader } from '../commands/index.ts'
import type { Media } from '../media/index.ts'
import type { Views } from '../projections/index.ts'
import type { EdgeLimits } from './ports/edge-limits.ts'
import type { EdgeMetrics } from './ports/edge-metrics.ts'
import type { LastSeenStore } from './ports/last-seen-store.ts'
import type { PresenceStore } from './ports/presence-store.ts'
import type { QuotaStore } from './ports/quota-store.ts'
import type { RevocationStore } from './ports/revocation-store.ts'
import type { SessionQueries } from './ports/session-queries.ts'
import type { Signals } from './ports/signals.ts'
import type { StorageState } from './ports/storage-state.ts'
import type { TokenVerifier } from './ports/token-verifier.ts'
import type { ViewChanges } from './ports/view-changes.ts'
import type { EdgeTls } from './transports/listen.ts'

export interface EdgeOptions {
  /** uWebSockets.js, loaded by src/infra/uws. */
  readonly uws: typeof Uws
  readonly bus: CommandBus
  readonly states: StateReader
  /** The live feed, not started. The command bus already listens to it; the caller starts it after the edge. */
  readonly feed: LiveFeed
  /** The epochs of the log. Default: those of one region. */
  readonly epochs?: Epochs | undefined
  readonly views: Views
  /** Reports changes of views that this process feeds. Without it, requests that wait for a view poll its positions. */
  readonly viewChanges?: ViewChanges | undefined
  readonly log: EventLog
  readonly signals: Signals
  /** Shares presence between edge nodes. Without it a node knows the presence of its own users only. */
  readonly presence?: PresenceStore
  /** Stores last-seen times. Without it clients receive none. */
  readonly lastSeen?: LastSeenStore
  /** Shares the counts of quotas between edge nodes. Without it each node counts for itself. */
  readonly quotas?: QuotaStore
  /** Returns the state of the storage that the log needs. Default: always `free`. */
  readonly storage?: () => StorageState
  readonly tokens: TokenVerifier
  /** Shares revocations between edge nodes. Without it a node knows only its own, until it stops. */
  readonly revocations?: RevocationStore
  /** Finds sessions at all edge nodes. Without it a node finds its own. */
  readonly sessionQueries?: SessionQueries
  /** Name of this node for operators. Default: random. */
  readonly node?: string
  /** Uploads and downloads. Without it messages have no attachments. */
  readonly media?: Media
  readonly metrics: EdgeMetrics
  readonly logger: Logger
  /** Address to listen on. Default 127.0.0.1. */
  readonly host?: string
  /** Port for WebSocket and HTTP. Default 0: any free port. */
  readonly port?: number
  /** Port for gRPC; 0: any free port. Without it gRPC is disabled. */
  readonly grpcPort?: number
  /** TLS of the listener for WebSockets and HTTP. Without it the connections are in clear text. */
  readonly tls?: EdgeTls | undefined
  /** TLS of gRPC. Without it the connections are in clear text. */
  readonly grpcTls?: ServerTls | undefined
  /** Time for which browsers use this host over https only, ms; 0: they receive none. Default 0. */
  readonly hstsMs?: number
  /** Signs tokens for `/v1/dev/token`. For development only. */
  readonly signDevToken?: (user: string) => Promise<string>
  /** Checks the header `Host` of every request. Without it every name is answered. */
  readonly acceptsHost?: (header: string) => boolean
  /** Readiness of further components for `/readyz`, by name. `false`: required and not ready. */
  readonly readiness?: () => Promise<Readonly<Record<string, boolean | string>>>
  /** Browser origins that may call the HTTP routes; `*` for all. Default none. */
  readonly corsOrigins?: readonly string[]
  /** Browser origins that may open WebSockets; `self` for this server's own, `*` for all. Default all. */
  readonly socketOrigins?: readonly string[]
  /** Whether to serve the web page. Default true. */
  readonly web?: boolean
  /** Limits that differ from the defaults. */
  readonly limits?: Partial<EdgeLimits>
}
