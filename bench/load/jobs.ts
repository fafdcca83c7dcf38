/** What the parent asks of the generator's process, one job at a time. */
export type Job =
  | {
      readonly do: 'open'
      readonly port: number
      readonly sockets: readonly SocketPlan[]
      /** Say hello and wait for its answer; the bare relay and raw sockets know none. */
      readonly hello: boolean
    }
  /** Creates conversations; the first member's socket asks for it. */
  | { readonly do: 'create'; readonly conversations: readonly ConversationPlan[] }
  | ({ readonly do: 'run' } & RunPlan)
  | { readonly do: 'close' }

export interface SocketPlan {
  readonly path: string
  readonly token?: string
}

export interface ConversationPlan {
  readonly c: string
  readonly kind: 'direct' | 'group' | 'channel'
  readonly members: readonly string[]
  /** Index of the socket that creates it. */
  readonly by: number
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
  /** Sockets that get each message, the sender's included. */
  readonly receivers: number
  /** Deliveries are looked into at every nth socket (order, each exactly once) and only counted at the others. 1: all. */
  readonly sample: number
  /** How long the generator sleeps between two turns of its loop: it reads more at once, and leaves the machine to the server. Latencies are longer by it. */
  readonly napMs?: number
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
  /** From the send to the delivery at another member. */
  readonly deliveryMs: Spread
  /** Length of a delivered frame's payload, bytes. */
  readonly deliveredBytes: number
  /** Cores that the generator itself kept busy. */
  readonly cores: number
}

/** What is wrong when not all is well: the run is worth nothing then. */
export interface RunFault {
  readonly fault: string
}

export type JobReply =
  | { readonly ok: true; readonly result: unknown }
  | { readonly ok: false; readonly error: string }
