import { policies } from 'cassandra-driver'

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
