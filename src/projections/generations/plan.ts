import type { ProjectionName } from '../views/projection.ts'

/** A generation of a view that is kept. */
export interface PlannedGeneration {
  readonly generation: number
  /** Of the projection that builds it. Only workers that have this version feed it. */
  readonly version: number
}

/** What operators have decided of a projection. */
export interface ProjectionPlan {
  /** Whether all of its generations stay as they are. */
  readonly paused: boolean
  /** The generation that queries read. */
  readonly live: number
  /** Those that are kept, ascending, the live one among them. All of them are fed, so that a switch, there and back, takes no time. */
  readonly generations: readonly PlannedGeneration[]
  /** The number of the next one; numbers are never used again. */
  readonly next: number
  /** The generation that is switched to by itself once it is complete: one that another version of the projection made necessary. */
  readonly switchTo?: number
}

/** Where plans are kept. Port; contract: test/contracts/plan-store.ts. */
export interface PlanStore {
  read(projection: ProjectionName): Promise<ProjectionPlan | undefined>
  /**
   * Replaces a plan by what `change` makes of it, and resolves with that; when another did so at the same time, `change` is called again. `undefined` from it:
   * nothing is to be done. Rejects with what `change` throws.
   */
  update(
    projection: ProjectionName,
    change: (plan: ProjectionPlan | undefined) => ProjectionPlan | undefined,
  ): Promise<ProjectionPlan | undefined>
  /** Tells each plan that there is, and each change, until the function that it resolves with is called. Resolves once all that there is was told. */
  watch(listener: (projection: ProjectionName, plan: ProjectionPlan) => void): Promise<() => void>
}

export const PlanProblem = {
  building: 'GENERATION_IS_BUILDING',
  missing: 'NO_SUCH_GENERATION',
  live: 'GENERATION_IS_LIVE',
} as const
export type PlanProblem = (typeof PlanProblem)[keyof typeof PlanProblem]

/** What was asked for is not possible as things stand. */
export class PlanError extends Error {
  readonly code: PlanProblem

  static is = (error: unknown): error is PlanError => error instanceof PlanError

  constructor(code: PlanProblem, message: string) {
    super(message)
    this.name = 'PlanError'
    this.code = code
  }
}

/** The plan of a projection that has none yet: one generation, of the version that its rows are of. */
export const firstPlan = (version: number): ProjectionPlan => ({
  paused: false,
  live: 1,
  generations: [{ generation: 1, version }],
  next: 2,
})

/** The newest generation, where that is not the live one or older than it: it is being built, or waits to be switched to. */
export const buildingOf = ({ live, generations }: ProjectionPlan): PlannedGeneration | undefined => {
  const newest = generations.at(-1)
  return newest !== undefined && newest.generation > live ? newest : undefined
}

/** What a generation is to its plan. */
export const roleOf = (plan: ProjectionPlan, generation: number): 'live' | 'building' | 'kept' =>
  generation === plan.live ? 'live' : generation > plan.live ? 'building' : 'kept'

/** Builds another generation beside those that are there. Throws PlanError where one is being built. */
export const rebuild = (
  plan: ProjectionPlan,
  version: number,
  options: { readonly switchTo?: boolean } = {},
): ProjectionPlan => {
  const building = buildingOf(plan)
  if (building !== undefined)
    throw new PlanError(
      PlanProblem.building,
      `generation ${building.generation} is there beside the live one: switch to it or drop it first`,
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

/** Queries read this generation from now on: a newer one, or an older one again. Throws PlanError where it is not there. */
export const switchTo = (plan: ProjectionPlan, generation: number): ProjectionPlan => {
  found(plan, generation)
  return { ...withoutSwitch(plan), live: generation }
}

/** Keeps a generation no more. Throws PlanError for the live one, and where it is not there. */
export const drop = (plan: ProjectionPlan, generation: number): ProjectionPlan => {
  found(plan, generation)
  if (generation === plan.live)
    throw new PlanError(PlanProblem.live, `generation ${generation} is the one that is read`)
  const generations = plan.generations.filter(other => other.generation !== generation)
  return { ...(plan.switchTo === generation ? withoutSwitch(plan) : plan), generations }
}

export const setPaused = (plan: ProjectionPlan, paused: boolean): ProjectionPlan => ({ ...plan, paused })
