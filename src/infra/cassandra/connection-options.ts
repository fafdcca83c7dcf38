import { policies } from 'cassandra-driver'

/** Connection options of the views' Cassandra. */
export interface CassandraOptions {
  /** `host:port` of some nodes. The others are discovered, and must use the same port. */
  readonly contactPoints: readonly string[]
  /** The data centre that this process reads from and writes to. */
  readonly dataCenter: string
  readonly keyspace: string
  readonly username?: string | undefined
  readonly password?: string | undefined
  /** Whether to connect over TLS. */
  readonly tls?: boolean
  /** PEM file of the authority that signed the nodes' certificates; requires TLS. */
  readonly caFile?: string | undefined
  /** Maximum writes in flight. Default 512; beyond it a node only queues them. */
  readonly writesInFlight?: number
  /** Maximum reads in flight, of all queries together. Default 256. */
  readonly readsInFlight?: number
}

type Decision = policies.retry.DecisionInfo
type Info = policies.retry.OperationInfo

const mostRetries = 2

/**
 * Retries on another node, at most twice. The driver consults it about write timeouts and broken connections only for
 * idempotent statements: all except the conditional ones, whose callers decide again.
 */
export class RetryElsewhere extends policies.retry.RetryPolicy {
  override onReadTimeout(info: Info, consistency: number): Decision {
    return this.#again(info, consistency)
  }

  override onWriteTimeout(info: Info, consistency: number): Decision {
    return this.#again(info, consistency)
  }

  override onUnavailable(info: Info, consistency: number): Decision {
    return this.#again(info, consistency)
  }

  override onRequestError(info: Info, consistency: number): Decision {
    return this.#again(info, consistency)
  }

  #again(info: Info, consistency: number): Decision {
    return info.nbRetry < mostRetries ? this.retryResult(consistency, false) : this.rethrowResult()
  }
}

const never = { nextExecution: () => -1 }

/**
 * Sends a read to a second node when it takes longer than `afterMs`; the first answer counts. Writes are excluded:
 * they would only add load.
 */
export class SpeculativeReads implements policies.speculativeExecution.SpeculativeExecutionPolicy {
  readonly #afterMs: number

  constructor(afterMs: number) {
    this.#afterMs = afterMs
  }

  init(): void {}
  shutdown(): void {}

  getOptions(): Map<string, object> {
    return new Map()
  }

  newPlan(_keyspace: string, query: string | object[]): { nextExecution: () => number } {
    if (typeof query !== 'string' || !query.startsWith('SELECT')) return never
    let sent = false
    return {
      nextExecution: () => {
        if (sent) return -1
        sent = true
        return this.#afterMs
      },
    }
  }
}
