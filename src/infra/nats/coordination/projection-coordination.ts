import type { KV } from '@nats-io/kv'
import {
  type LeaseStore,
  type LeaseTable,
  noLeases,
  type PlanStore,
  type ProjectionName,
  type ProjectionPlan,
  projectionNames,
  type SupervisedStatus,
} from '../../../projections/index.ts'
import type { Nats } from '../client/connection.ts'
import { respond } from '../client/inboxes.ts'
import { ApiError, apiCodeOf, requestTimeoutMs, retryRequest } from '../client/jetstream-api.ts'
import { NatsError, NatsProblem } from '../client/nats-error.ts'
import { Bucket } from './buckets.ts'
import { checkConnected, isBucketConflict, openBucket } from './kv-bucket.ts'

/** Asks all projection workers for the status of their views. */
export const projectionStatusSubject = 'confab.projections.status'
const planPollMs = 500
/** Timeout of a request on leases, ms: shorter than a lease. */
const leaseTimeoutMs = 1_000

interface ReplicasOption {
  /** Replicas of the bucket. Default: as many as the stream of dead letters has. */
  readonly replicas?: number | undefined
}

/** Opens the plans of the projections, a key-value bucket of JetStream beside the log. Throws NatsError. */
export const openNatsPlans = async (nats: Nats, { replicas }: ReplicasOption = {}): Promise<PlanStore> => {
  const kv = await openBucket(nats, { ...Bucket.projections, replicas, timeout: requestTimeoutMs })
  const read = async (projection: ProjectionName) => {
    const entry = await retryRequest(`the bucket ${Bucket.projections.bucket}`, () => kv.get(projection))
    return entry?.operation === 'PUT'
      ? { plan: entry.json<ProjectionPlan>(), revision: entry.revision }
      : { plan: undefined, revision: entry?.revision ?? 0 }
  }
  return {
    read: async projection => (await read(projection)).plan,
    update: async (projection, change) => {
      for (;;) {
        const { plan, revision } = await read(projection)
        const next = change(plan)
        if (next === undefined) return undefined
        try {
          await kv.put(projection, JSON.stringify(next), { previousSeq: revision })
          return next
        } catch (error) {
          if (isBucketConflict(error)) continue
          const why = `the plan of ${projection} was perhaps not changed: ${(error as Error).message}`
          throw new NatsError(NatsProblem.failed, why, error)
        }
      }
    },
    // Polls: a few direct gets, and no subscription that has to survive the restart of a server.
    watch: async listener => {
      const seen = new Map<ProjectionName, number>()
      const poll = async (onError: (error: unknown) => void): Promise<void> => {
        for (const projection of projectionNames) {
          const { plan, revision } = await read(projection)
          if (plan === undefined || seen.get(projection) === revision) continue
          seen.set(projection, revision)
          try {
            listener(projection, plan)
          } catch (error) {
            onError(error)
          }
        }
      }
      await poll(error => {
        throw error
      })
      let isPolling = false
      const timer = setInterval(async () => {
        if (isPolling) return
        isPolling = true
        // Without a connection the next poll retries.
        await poll(error => nats.listenerFailed(error, 'projection plans')).catch(() => {})
        isPolling = false
      }, planPollMs)
      timer.unref()
      return () => clearInterval(timer)
    },
  }
}

/**
 * Opens the lease tables, a key-value bucket of JetStream with one key for each group. The bucket is in memory, and is
 * created again after all servers have lost it. Throws NatsError.
 */
export const openNatsLeases = async (nats: Nats, { replicas }: ReplicasOption = {}): Promise<LeaseStore> => {
  const open = (): Promise<KV> => openBucket(nats, { ...Bucket.leases, replicas, timeout: leaseTimeoutMs })
  let kv = await open()

  return {
    read: async group => {
      checkConnected(nats)
      try {
        const entry = await kv.get(group)
        if (entry === null) return { table: noLeases, revision: 0 }
        return { table: entry.json<LeaseTable>(), revision: entry.revision }
      } catch (error) {
        if (apiCodeOf(error) !== ApiError.streamNotFound) throw error
        kv = await open()
        return { table: noLeases, revision: 0 }
      }
    },
    replace: async (group, table, revision) => {
      checkConnected(nats)
      try {
        await kv.put(group, JSON.stringify(table), { previousSeq: revision })
        return true
      } catch (error) {
        if (isBucketConflict(error)) return false
        throw error
      }
    },
  }
}

/** The status of the views that one worker builds. */
export interface WorkerStatus {
  readonly worker: string
  /** The database technology. */
  readonly database: string
  /** Whether other workers feed the same database. False: the database belongs to this worker alone. */
  readonly isShared: boolean
  readonly projections: readonly SupervisedStatus[]
}

/** Answers requests for the status of this process's projections, until the returned function is called. */
export const answerProjectionStatus = (nats: Nats, status: () => readonly WorkerStatus[]): (() => void) => {
  const subscription = nats.subscribe(projectionStatusSubject, msg => respond(msg, JSON.stringify(status())))
  return () => subscription.unsubscribe()
}

/** Collects the status of all workers, until `waitMs` of silence. Resolves with none when no process builds views. */
export const askProjectionStatus = async (nats: Nats, waitMs = 300): Promise<WorkerStatus[]> => {
  const found: WorkerStatus[] = []
  try {
    const answers = await nats.connection.requestMany(projectionStatusSubject, undefined, {
      strategy: 'stall',
      stall: waitMs,
      maxWait: 5 * waitMs,
    })
    for await (const answer of answers) found.push(...answer.json<WorkerStatus[]>())
  } catch (error) {
    // No process builds views.
    if (!/no responders/i.test(String(error))) throw error
  }
  return found
}
