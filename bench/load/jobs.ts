import type { DialectName } from './dialects/index.ts'

/** The jobs that the parent gives the generator's process, one at a time. */
export type Job =
  | ({ readonly do: 'open' } & OpenPlan)
  /** Creates conversations, requested by the first member's socket. */
  | { readonly do: 'create'; readonly conversations: readonly ConversationPlan[] }
  | ({ readonly do: 'create-large' } & LargePlan)
  | ({ readonly do: 'run' } & RunPlan)
  | ({ readonly do: 'talk' } & TalkPlan)
  /** Checks every delivery from now on, until `report`. */
  | { readonly do: 'watch' }
  | { readonly do: 'report'; readonly due: readonly Due[] }
  /** Keeps each socket's last delivery, to resume after it. */
  | { readonly do: 'follow' }
  /** Closes all connections; `after`: once each has had a delivery. */
  | { readonly do: 'drop'; readonly after: 'delivery' | 'nothing' }
  | ({ readonly do: 'return' } & ReturnPlan)
  /** Stops reading from its sockets, or reads everything again. */
  | { readonly do: 'pause' | 'read' }
  | { readonly do: 'close' }

export interface OpenPlan {
  readonly port: number
  readonly sockets: readonly SocketPlan[]
  /** Whether to send hello and wait for its answer; the bare relay and raw sockets have none. */
  readonly hello: boolean
  /** Default: confab. */
  readonly dialect?: DialectName
  /** Sockets that connect at the same time. Default 64. */
  readonly width?: number
}

export interface SocketPlan {
  readonly path: string
  /** Authority of the server's certificate, as PEM. Without it, no TLS. */
  readonly ca?: string
  readonly token?: string
  /** Its conversations, for servers that do not know them. */
  readonly conversations?: readonly string[]
  /** Fields that the protocol's greeting adds when a socket resumes. */
  readonly resume?: Readonly<Record<string, unknown>>
}

export interface ConversationPlan {
  readonly c: string
  readonly kind: 'direct' | 'group' | 'channel'
  readonly members: readonly string[]
  /** Index of the socket that creates it. */
  readonly by: number
  /** Members with sockets in this process. Default: all. */
  readonly here?: number
}

export interface LargePlan {
  readonly c: string
  readonly members: readonly string[]
  /** Members that `create` names; the others are invited. */
  readonly first: number
}

export interface RunPlan {
  /** The senders: index of the socket, id of the conversation. */
  readonly senders: readonly { readonly socket: number; readonly c: string }[]
  /** Messages in flight per sender. */
  readonly inFlight: number
  /** When a message leaves flight: at its ack, or at its ack and all deliveries. */
  readonly until: 'acked' | 'delivered'
  /** Messages per second of all senders together, independent of acks; without it, as fast as answers arrive. */
  readonly rate?: number
  readonly seconds: number
  /** Maximum number of messages per sender; the run ends when all are sent, or after `seconds`. */
  readonly each?: number
  /** Local sockets that receive each message, the sender's included. */
  readonly receivers: number
  /** Deliveries are checked (order, exactly once) at every nth socket and only counted at the others. 1: all. */
  readonly sample: number
  /**
   * Sleep between two turns of the generator's loop: it reads more at once and leaves CPU to the server. Latencies
   * grow by it.
   */
  readonly napMs?: number
  /** Bytes of a text. Default 99. */
  readonly textBytes?: number
}

export interface Spread {
  readonly p50: number
  readonly p99: number
}

export interface RunResult {
  readonly sent: number
  readonly acked: number
  readonly delivered: number
  /** From the first send to the last ack and delivery. */
  readonly seconds: number
  readonly ackMs: Spread
  /** From the send to the delivery at another socket than the sender's. */
  readonly deliveryMs: Spread
  /** Payload length of a delivered frame, bytes. */
  readonly deliveredBytes: number
  /** Cores that the generator itself used. */
  readonly cores: number
}

/** Messages sent like people send them, independent of acks; shaped like the IRC logs (irc-shape.ts). */
export interface TalkPlan {
  readonly talks: readonly {
    readonly c: string
    /** Relative frequency of its messages. */
    readonly weight: number
    /** Sockets of the speakers, the busiest first. */
    readonly speakers: readonly number[]
    /** Local sockets that receive each message. */
    readonly receivers: number
    /** Bytes of a text. Default 99. */
    readonly textBytes?: number
  }[]
  readonly rate: number
  readonly seconds: number
  /** How long to wait for missing deliveries, ms. */
  readonly waitMs: number
  readonly seed: number
}

export interface TalkResult {
  /** Messages of each talk. */
  readonly sent: readonly number[]
  /** Whether all acks and local deliveries arrived. */
  readonly complete: boolean
  readonly refused: number
  readonly ackMs: Spread
}

/** The deliveries that a watching socket must have received since `watch`. */
export interface Due {
  readonly socket: number
  readonly c: string
  readonly messages: number
}

export interface Report {
  /** From the send in another process to the local delivery. */
  readonly deliveryMs: Spread
  readonly delivered: number
}

export interface ReturnPlan {
  /** Messages that each socket has missed. */
  readonly missed: number
}

export interface ReturnResult {
  /** From the start of the first connection until the last socket has received everything. */
  readonly seconds: number
  /** Number of times that a socket was asked to retry later, and did. */
  readonly retries: number
}

export type JobReply =
  | { readonly ok: true; readonly result: unknown }
  | { readonly ok: false; readonly error: string }
