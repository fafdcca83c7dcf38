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

/** Environment of processes in which a few sockets represent many users: rates are counted, and never reached. */
export const unlimited = Object.fromEntries([
  ...['SOCKET', 'USER', 'CONVERSATION'].flatMap(of => [
    [`CONFAB_EDGE_LIMITS_${of}_REQUESTS`, '1000000'],
    [`CONFAB_EDGE_LIMITS_${of}_BYTES`, '64GiB'],
  ]),
  ['CONFAB_EDGE_LIMITS_HELLOS', '1000000'],
  ['CONFAB_EDGE_LIMITS_USER_HELLOS', '1000000'],
  ['CONFAB_EDGE_LIMITS_ADDRESS_CONNECTS', '1000000'],
  ['CONFAB_EDGE_LIMITS_ADDRESS_NEWCOMERS', '1000000'],
  ['CONFAB_EDGE_QUOTAS_EVENTS', '1000000000'],
  ['CONFAB_EDGE_QUOTAS_EVENT_BYTES', '1024GiB'],
  ['CONFAB_EDGE_QUOTAS_NEW_CONVERSATIONS', '1000000'],
  ['CONFAB_COMMANDS_USER_QUEUED', '1000000'],
])
