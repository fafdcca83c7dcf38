import type * as Uws from 'uWebSockets.js'
import type { Logger } from '../base/logger.ts'
import type { CommandBus, EventLog, LiveFeed, StateReader } from '../commands/index.ts'
import type { Media } from '../media/index.ts'
import type { Views } from '../projections/index.ts'
import type { EdgeLimits } from './ports/edge-limits.ts'
import type { EdgeMetrics } from './ports/edge-metrics.ts'
import type { LastSeenStore } from './ports/last-seen-store.ts'
import type { PresenceStore } from './ports/presence-store.ts'
import type { Signals } from './ports/signals.ts'
import type { TokenVerifier } from './ports/token-verifier.ts'
import type { ViewChanges } from './ports/view-changes.ts'

export interface EdgeOptions {
  /** uWebSockets.js, as src/infra/uws loads it. */
  readonly uws: typeof Uws
  readonly bus: CommandBus
  readonly states: StateReader
  /** Not started yet, the bus listening to it already: the edge adds its listener, whoever composes starts it. */
  readonly feed: LiveFeed
  readonly views: Views
  /** Reports changes of views that this process feeds. Without it, requests that wait for a view poll its positions. */
  readonly viewChanges?: ViewChanges | undefined
  readonly log: EventLog
  readonly signals: Signals
  /** Where nodes tell each other of their users. Without it a node knows of its own only. */
  readonly presence?: PresenceStore
  /** When users were last here. Without it nobody is told. */
  readonly lastSeen?: LastSeenStore
  readonly tokens: TokenVerifier
  /** Uploads and downloads. Without it there are none, and messages have no attachments. */
  readonly media?: Media
  readonly metrics: EdgeMetrics
  readonly logger: Logger
  /** Default 127.0.0.1. */
  readonly host?: string
  /** Default 0: a free one. */
  readonly port?: number
  /** Port of the gRPC service, 0 for a free one. Not given: there is none. */
  readonly grpcPort?: number
  /** Signs tokens at `/v1/dev/token`. Development only. */
  readonly signDevToken?: (user: string) => Promise<string>
  /** What `/readyz` asks besides the feed and the views: name to whether it can serve. */
  readonly readiness?: () => Promise<Readonly<Record<string, boolean | string>>>
  /** Origins that browsers may call the HTTP routes from; `*` for all. Default none. */
  readonly corsOrigins?: readonly string[]
  /** Whether to serve the web page. Default true. */
  readonly web?: boolean
  readonly limits?: Partial<EdgeLimits>
}
