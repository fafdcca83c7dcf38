/** The steps of a move, in order. Each may be repeated. */
export const moveSteps = ['mirror', 'near', 'cut', 'marker', 'wait', 'promote'] as const
export type MoveStep = (typeof moveSteps)[number]
