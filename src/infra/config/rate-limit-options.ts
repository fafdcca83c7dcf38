import { defaultEdgeLimits, type EdgeLimits } from '../../edge/ports/edge-limits.ts'
import { limit, type OptionsOf, orOff } from './limit-option.ts'
import { duration, integer, size } from './values.ts'

const KiB = 1024
const GiB = 1024 ** 3
const seconds = 1_000
const minutes = 60_000

const edge = defaultEdgeLimits

/** At least a frame's worth may come at once. */
const bytes = orOff(size(64 * KiB, 64 * GiB))
const requests = orOff(integer(1, 1_000_000))
const sockets = orOff(integer(1, 10_000_000))

/** How much clients may ask of an edge (src/edge/limits/admission.ts, connection-limits.ts). */
export const rateLimitOptions: OptionsOf<
  Pick<
    EdgeLimits,
    | 'socketRequests'
    | 'socketBytes'
    | 'userRequests'
    | 'userBytes'
    | 'conversationRequests'
    | 'conversationBytes'
    | 'callSignals'
    | 'burstMs'
    | 'meters'
    | 'hellos'
    | 'userSockets'
    | 'addressSockets'
    | 'trustProxy'
    | 'bufferedBytes'
  >
> = {
  socketRequests: limit(
    'edge.limits.socketRequests',
    requests,
    edge.socketRequests,
    'Requests a second of one socket; more are RATE_LIMITED.',
  ),
  socketBytes: limit(
    'edge.limits.socketBytes',
    bytes,
    edge.socketBytes,
    'Bytes a second that one socket sends.',
  ),
  userRequests: limit(
    'edge.limits.userRequests',
    requests,
    edge.userRequests,
    'Requests a second of one user at this node, over sockets and HTTP.',
  ),
  userBytes: limit(
    'edge.limits.userBytes',
    bytes,
    edge.userBytes,
    'Bytes a second of the requests of one user.',
  ),
  conversationRequests: limit(
    'edge.limits.conversationRequests',
    requests,
    edge.conversationRequests,
    'Commands and typing a second in one conversation at this node.',
  ),
  conversationBytes: limit(
    'edge.limits.conversationBytes',
    bytes,
    edge.conversationBytes,
    'Bytes a second of those.',
  ),
  callSignals: limit(
    'edge.limits.callSignals',
    requests,
    edge.callSignals,
    'Signals of calls a second of one user at this node.',
  ),
  burstMs: limit(
    'edge.limits.burst',
    duration(seconds, 10 * minutes),
    edge.burstMs,
    "How long a rate's worth may come at once.",
  ),
  meters: limit(
    'edge.limits.keys',
    integer(2, 10_000_000),
    edge.meters,
    'Users without a socket, as many conversations, and as many users who call, whose rates are remembered.',
  ),
  hellos: limit(
    'edge.limits.hellos',
    requests,
    edge.hellos,
    'Clients that arrive a second, and as many at once; more are OVERLOADED, each with a time to come again.',
  ),
  userSockets: limit(
    'edge.limits.userSockets',
    sockets,
    edge.userSockets,
    'Sockets of one user at this node; one more is closed with 4029.',
  ),
  addressSockets: limit(
    'edge.limits.addressSockets',
    sockets,
    edge.addressSockets,
    'Sockets of one address (of IPv6, one /64) at this node; one more is answered 429.',
  ),
  trustProxy: limit(
    'edge.trustProxy',
    integer(0, 16),
    edge.trustProxy,
    'Proxies in front of this node that add to X-Forwarded-For; 0: the socket has the address.',
  ),
  bufferedBytes: limit(
    'edge.limits.buffered',
    size(1024 * KiB, 1024 * GiB),
    edge.bufferedBytes,
    'Bytes that may wait for all slow sockets; from 90 % of it on, what can wait is OVERLOADED.',
  ),
}
