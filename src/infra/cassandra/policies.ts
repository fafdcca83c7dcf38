import { policies } from 'cassandra-driver'

type Decision = policies.retry.DecisionInfo
type Info = policies.retry.OperationInfo

const mostRetries = 2

/**
 * Tries again on another node, twice at most. The driver asks it about timeouts of writes and broken connections only when the statement is idempotent, which all of
 * ours are but the conditional ones: those are decided anew by whoever made them.
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

/** A read that takes longer than `afterMs` is sent to another node as well, and the first answer counts. Writes are not: they would only add to the load. */
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
