import type * as Uws from 'uWebSockets.js'
import type { CommandBus, EventLog, LiveFeed, Media } from '../commands/index.ts'
import type { Views } from '../projections/index.ts'
import type { EdgeLimits } from './edge-limits.ts'
import type { EdgeMetrics } from './edge-metrics.ts'
import type { LastSeenStore, PresenceStore } from './presence/index.ts'
import type { Signals } from './signals/signals.ts'
import type { TokenVerifier } from './token-verifier.ts'

/** What the edge writes its log to: pino's shape. No text, token or address goes there. */
export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export interface EdgeOptions {
  /** uWebSockets.js, as src/infra/uws loads it. */
  readonly uws: typeof Uws
  readonly bus: CommandBus
  /** Not started yet, the bus listening to it already: the edge adds its listener, whoever composes starts it. */
  readonly feed: LiveFeed
  readonly views: Views
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
