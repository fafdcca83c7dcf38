import type { EdgeLimits } from '../../src/edge/index.ts'

/** For tests in which a few sockets send as fast as they can. */
export const noRates = {
  socketRequests: 0,
  socketBytes: 0,
  userRequests: 0,
  userBytes: 0,
  conversationRequests: 0,
  conversationBytes: 0,
} as const satisfies Partial<EdgeLimits>
