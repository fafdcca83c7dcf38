import {
  type PlanStore,
  type ProjectionName,
  type ProjectionPlan,
  projectionNames,
} from '../../../projections/index.ts'
import { askAgain, askWaitMs } from '../client/ask-jetstream.ts'
import type { Nats } from '../client/connection.ts'
import { NatsError, NatsProblem } from '../client/nats-error.ts'
import { isBucketConflict, openBucket } from './kv-bucket.ts'

const bucket = 'confab-projections'
const lookEveryMs = 500
/** Plans in a key-value bucket of JetStream, beside the log that the views are built from. `replicas`: copies; not given, as many as the dead letters have. */
export const openNatsPlans = async (
  nats: Nats,
  { replicas }: { replicas?: number | undefined } = {},
): Promise<PlanStore> => {
  const kv = await openBucket(nats, { bucket, storage: 'file', history: 8, replicas, timeout: askWaitMs })
  const entry = async (projection: ProjectionName) => {
    const found = await askAgain(`the bucket ${bucket}`, () => kv.get(projection))
    return found?.operation === 'PUT'
      ? { plan: found.json<ProjectionPlan>(), revision: found.revision }
      : { plan: undefined, revision: found?.revision ?? 0 }
  }
  return {
    read: async projection => (await entry(projection)).plan,
    update: async (projection, change) => {
      for (;;) {
        const { plan, revision } = await entry(projection)
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
    // Asked for again and again: a few direct gets, and no subscription that has to outlive a server.
    watch: async listener => {
      const seen = new Map<ProjectionName, number>()
      const look = async (): Promise<void> => {
        for (const projection of projectionNames) {
          const { plan, revision } = await entry(projection)
          if (plan === undefined || seen.get(projection) === revision) continue
          seen.set(projection, revision)
          listener(projection, plan)
        }
      }
      await look()
      let isLooking = false
      const timer = setInterval(async () => {
        if (isLooking) return
        isLooking = true
        // NATS is away: the next look may find it.
        await look().catch(() => {})
        isLooking = false
      }, lookEveryMs)
      timer.unref()
      return () => clearInterval(timer)
    },
  }
}
