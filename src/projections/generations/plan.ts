import { CodedError } from '../../base/coded-error.ts'
import type { ProjectionName } from '../views/projection.ts'

/** A generation of a view that is kept. */
export interface PlannedGeneration {
  readonly generation: number
  /** Version of the projection that builds it. Only workers with this version feed it. */
  readonly version: number
}

/** The operators' decisions about one projection. */
export interface ProjectionPlan {
  /** Whether all of its generations stay unchanged. */
  readonly paused: boolean
  /** The generation that queries read. */
  readonly live: number
  /**
   * The kept generations, ascending, including the live one. All of them are fed, so a switch in either direction is
   * immediate.
   */
  readonly generations: readonly PlannedGeneration[]
  /** Number of the next generation. Numbers are never reused. */
  readonly next: number
  /**
   * The generation to switch to automatically when it is complete. Set when another version of the projection made a
   * rebuild necessary.
   */
  readonly switchTo?: number
}

/** Stores plans. Port; contract: test/contracts/plan-store.ts. */
export interface PlanStore {
  read(projection: ProjectionName): Promise<ProjectionPlan | undefined>
  /**
   * Replaces a plan with the result of `change` and resolves with it. When another process replaced the plan at the
   * same time, `change` is called again. When `change` returns undefined, nothing is written. Rejects with any error
   * that `change` throws.
   */
  update(
    projection: ProjectionName,
    change: (plan: ProjectionPlan | undefined) => ProjectionPlan | undefined,
  ): Promise<ProjectionPlan | undefined>
  /**
   * Calls the listener for each existing plan and for each later change. Resolves after all existing plans were
   * delivered, with a function that ends the watch.
   */
  watch(listener: (projection: ProjectionName, plan: ProjectionPlan) => void): Promise<() => void>
}

export const PlanProblem = {
  building: 'GENERATION_IS_BUILDING',
  missing: 'NO_SUCH_GENERATION',
  live: 'GENERATION_IS_LIVE',
} as const
export type PlanProblem = (typeof PlanProblem)[keyof typeof PlanProblem]

/** Thrown when the current plan does not allow the requested operation. */
export class PlanError extends CodedError<PlanProblem> {}

/** Returns the initial plan of a projection: one generation, of the version that its rows have. */
export const firstPlan = (version: number): ProjectionPlan => ({
  paused: false,
  live: 1,
  generations: [{ generation: 1, version }],
  next: 2,
})

/**
 * Returns the newest generation if it is newer than the live one: it is being built, or is complete and not yet
 * switched to.
 */
export const buildingOf = ({ live, generations }: ProjectionPlan): PlannedGeneration | undefined => {
  const newest = generations.at(-1)
  return newest !== undefined && newest.generation > live ? newest : undefined
}

/** Returns the role of a generation in its plan. */
export const roleOf = (plan: ProjectionPlan, generation: number): 'live' | 'building' | 'kept' =>
  generation === plan.live ? 'live' : generation > plan.live ? 'building' : 'kept'

/** Adds a generation that is built beside the existing ones. Throws PlanError when one is being built already. */
export const rebuild = (
  plan: ProjectionPlan,
  version: number,
  options: { readonly switchTo?: boolean } = {},
): ProjectionPlan => {
  const building = buildingOf(plan)
  if (building !== undefined)
    throw new PlanError(
      PlanProblem.building,
      `generation ${building.generation} exists beside the live one: switch to it or drop it first`,
    )
  return {
    ...plan,
    generations: [...plan.generations, { generation: plan.next, version }],
    next: plan.next + 1,
    ...(options.switchTo ? { switchTo: plan.next } : {}),
  }
}

const found = ({ generations }: ProjectionPlan, generation: number): PlannedGeneration => {
  const one = generations.find(other => other.generation === generation)
  if (one !== undefined) return one
  const there = generations.map(other => other.generation).join(', ')
  throw new PlanError(PlanProblem.missing, `there is no generation ${generation}, only ${there}`)
}

const withoutSwitch = ({ switchTo: _, ...plan }: ProjectionPlan): ProjectionPlan => plan

/**
 * Makes queries read this generation: a newer one, or an older one again. Throws PlanError when the generation does
 * not exist.
 */
export const switchTo = (plan: ProjectionPlan, generation: number): ProjectionPlan => {
  found(plan, generation)
  return { ...withoutSwitch(plan), live: generation }
}

/** Removes a generation. Throws PlanError for the live one and for one that does not exist. */
export const drop = (plan: ProjectionPlan, generation: number): ProjectionPlan => {
  found(plan, generation)
  if (generation === plan.live)
    throw new PlanError(PlanProblem.live, `generation ${generation} is live: switch to another one first`)
  const generations = plan.generations.filter(other => other.generation !== generation)
  return { ...(plan.switchTo === generation ? withoutSwitch(plan) : plan), generations }
}

export const setPaused = (plan: ProjectionPlan, paused: boolean): ProjectionPlan => ({ ...plan, paused })
