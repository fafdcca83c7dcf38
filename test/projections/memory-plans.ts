import type { PlanStore, ProjectionName, ProjectionPlan } from '../../src/projections/index.ts'

/** Plans in memory, with immediate notification. */
export const memoryPlans = (): PlanStore => {
  const plans = new Map<ProjectionName, ProjectionPlan>()
  const listeners = new Set<(projection: ProjectionName, plan: ProjectionPlan) => void>()
  return {
    read: async projection => plans.get(projection),
    update: async (projection, change) => {
      const next = change(plans.get(projection))
      if (next === undefined) return undefined
      plans.set(projection, next)
      for (const listener of listeners) listener(projection, next)
      return next
    },
    watch: async listener => {
      listeners.add(listener)
      for (const [projection, plan] of plans) listener(projection, plan)
      return () => listeners.delete(listener)
    },
  }
}
