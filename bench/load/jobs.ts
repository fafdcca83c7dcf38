import type { DialectName } from './dialects/index.ts'

/** What the parent asks of the generator's process, one job at a time. */
export type Job =
  | ({ readonly do: 'open' } & OpenPlan)
  /** Creates conversations; the first member's socket asks for it. */
  | { readonly do: 'create'; readonly conversations: readonly ConversationPlan[] }
  | ({ readonly do: 'create-large' } & LargePlan)
  | ({ readonly do: 'run' } & RunPlan)
  | ({ readonly do: 'talk' } & TalkPlan)
  /** Looks from now on into each delivery, until `report`. */
  | { readonly do: 'watch' }
  | { readonly do: 'report'; readonly due: readonly Due[] }
  /** Keeps each socket's last delivery, so that it can come back after it. */
  | { readonly do: 'follow' }
  /** Cuts all connections; `after`: once each of them has had a delivery. */
  | { readonly do: 'drop'; readonly after: 'delivery' | 'nothing' }
  | ({ readonly do: 'return' } & ReturnPlan)
  /** Reads nothing any more from its sockets, or all that waits and from then on. */
  | { readonly do: 'pause' | 'read' }
  | { readonly do: 'close' }

export interface OpenPlan {
  readonly port: number
  readonly sockets: readonly SocketPlan[]
  /** Say hello and wait for its answer; the bare relay and raw sockets know none. */
  readonly hello: boolean
  /** Default: confab. */
  readonly dialect?: DialectName
  /** Sockets on their way at the same time; default 64. */
  readonly width?: number
}

export interface SocketPlan {
  readonly path: string
  readonly token?: string
  /** Where it takes part, for servers that do not know it. */
  readonly conversations?: readonly string[]
  /** What the protocol's greeting says more when a socket comes back. */
  readonly resume?: Readonly<Record<string, unknown>>
}

export interface ConversationPlan {
  readonly c: string
  readonly kind: 'direct' | 'group' | 'channel'
  readonly members: readonly string[]
  /** Index of the socket that creates it. */
  readonly by: number
  /** Members whose sockets are of this process; default: all. */
  readonly here?: number
}

export interface LargePlan {
  readonly c: string
  readonly members: readonly string[]
  /** Members that `create` names; the others are invited. */
  readonly first: number
}

export interface RunPlan {
  /** Who sends, and where to: index of the socket, id of the conversation. */
  readonly senders: readonly { readonly socket: number; readonly c: string }[]
  /** Messages under way at once, each sender. */
  readonly inFlight: number
  /** What ends a message's being under way: its ack, or its ack and all deliveries. */
  readonly until: 'acked' | 'delivered'
  /** Messages a second, all senders together, whatever is under way; without it, as fast as answers come. */
  readonly rate?: number
  readonly seconds: number
  /** Messages of each sender, at most; it is over when all are sent, or after `seconds`. */
  readonly each?: number
  /** Sockets here that get each message, the sender's included. */
  readonly receivers: number
  /** Deliveries are looked into at every nth socket (order, each exactly once) and only counted at the others. 1: all. */
  readonly sample: number
  /** How long the generator sleeps between two turns of its loop: it reads more at once, and leaves the machine to the server. Latencies are longer by it. */
  readonly napMs?: number
  /** Bytes of a text; default 99. */
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
  /** Length of a delivered frame's payload, bytes. */
  readonly deliveredBytes: number
  /** Cores that the generator itself kept busy. */
  readonly cores: number
}

/** Messages that come when people send them, whatever is under way: shaped like the IRC logs (irc-shape.ts). */
export interface TalkPlan {
  readonly talks: readonly {
    readonly c: string
    /** How often it is spoken in, against the others. */
    readonly weight: number
    /** Sockets of those who speak, the busiest first. */
    readonly speakers: readonly number[]
    /** Sockets here that get each message. */
    readonly receivers: number
    /** Bytes of a text; default 99. */
    readonly textBytes?: number
  }[]
  readonly rate: number
  readonly seconds: number
  /** How long it waits for what has not come, ms. */
  readonly patienceMs: number
  readonly seed: number
}

export interface TalkResult {
  /** Messages of each talk. */
  readonly sent: readonly number[]
  /** Acks and deliveries here came in the end. */
  readonly complete: boolean
  readonly refused: number
  readonly ackMs: Spread
}

/** What a watching socket must have got since `watch`. */
export interface Due {
  readonly socket: number
  readonly c: string
  readonly messages: number
}

export interface Report {
  /** From the send, by another process, to the delivery here. */
  readonly deliveryMs: Spread
  readonly delivered: number
}

export interface ReturnPlan {
  /** Messages that each has missed. */
  readonly missed: number
}

export interface ReturnResult {
  /** From the first connection's start until the last socket had all that it missed. */
  readonly seconds: number
  /** Times that a socket was told to come later, and did. */
  readonly retries: number
}

export type JobReply =
  | { readonly ok: true; readonly result: unknown }
  | { readonly ok: false; readonly error: string }
