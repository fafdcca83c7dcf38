import { option } from '../../base/option.ts'
import { duration, GiB, integer, KiB, MiB, minutes, orOff, seconds, size } from '../../base/option-types.ts'

const rate = orOff(integer(1, 1_000_000))
/** At least one frame. */
const byteRate = orOff(size(64 * KiB, 64 * GiB))
const sockets = orOff(integer(1, 10_000_000))

/** How much clients may send and keep open at one node. */
export const rateOptions = {
  socketRequests: option({
    key: 'edge.limits.socketRequests',
    type: rate,
    default: 200,
    unit: 'requests/s',
    doc: 'Requests a second of one socket; more are RATE_LIMITED.',
  }),
  socketBytes: option({
    key: 'edge.limits.socketBytes',
    type: byteRate,
    default: 2 * MiB,
    unit: 'bytes/s',
    doc: 'Bytes a second that one socket sends; more are RATE_LIMITED.',
  }),
  userRequests: option({
    key: 'edge.limits.userRequests',
    type: rate,
    default: 400,
    unit: 'requests/s',
    doc: 'Requests a second of one user, over sockets and HTTP; more are RATE_LIMITED.',
  }),
  userBytes: option({
    key: 'edge.limits.userBytes',
    type: byteRate,
    default: 4 * MiB,
    unit: 'bytes/s',
    doc: 'Bytes a second of the requests of one user; more are RATE_LIMITED.',
  }),
  conversationRequests: option({
    key: 'edge.limits.conversationRequests',
    type: rate,
    default: 1_000,
    unit: 'requests/s',
    doc: 'Commands and typing signals a second in one conversation; more are RATE_LIMITED.',
  }),
  conversationBytes: option({
    key: 'edge.limits.conversationBytes',
    type: byteRate,
    default: 8 * MiB,
    unit: 'bytes/s',
    doc: 'Bytes a second of the commands in one conversation; more are RATE_LIMITED.',
  }),
  callSignals: option({
    key: 'edge.limits.callSignals',
    type: rate,
    default: 20,
    unit: 'signals/s',
    doc: 'Call signals a second of one user; more are RATE_LIMITED.',
  }),
  burstMs: option({
    key: 'edge.limits.burst',
    type: duration(seconds, 10 * minutes),
    default: 20 * seconds,
    doc: 'Length of a burst: a rate of n a second allows n times the seconds of the burst at once.',
  }),
  meters: option({
    key: 'edge.limits.keys',
    type: integer(2, 10_000_000),
    default: 100_000,
    unit: 'rates',
    doc: 'Rates that the node remembers, for each of: users without a socket, conversations, users who call.',
  }),
  hellos: option({
    key: 'edge.limits.hellos',
    type: rate,
    default: 5_000,
    unit: 'clients/s',
    doc: 'Clients a second that say `hello` or open an event stream, with a valid token; more are OVERLOADED, with a time to retry.',
  }),
  userHellos: option({
    key: 'edge.limits.userHellos',
    type: rate,
    default: 20,
    unit: 'clients/s',
    doc: 'Clients of one user a second, of `edge.limits.hellos`; more are OVERLOADED, with a time to retry.',
  }),
  addressFailures: option({
    key: 'edge.limits.addressFailures',
    type: rate,
    default: 50,
    unit: 'tokens/s',
    doc: 'Invalid tokens a second of one client address, over all transports. Beyond them its clients are OVERLOADED before their tokens are verified.',
  }),
  userSockets: option({
    key: 'edge.limits.userSockets',
    type: sockets,
    default: 100,
    unit: 'sockets',
    doc: 'Sessions of one user; the node closes one more with 4029.',
  }),
  addressSockets: option({
    key: 'edge.limits.addressSockets',
    type: sockets,
    default: 20_000,
    unit: 'sockets',
    doc: 'Connections of one client address (IPv6: one /64): WebSockets, event streams and gRPC calls together; one more is refused with 429. Clients behind a proxy that is not trusted share its address.',
  }),
  malformedRequests: option({
    key: 'edge.limits.malformedRequests',
    type: rate,
    default: 20,
    unit: 'requests/s',
    doc: 'HTTP requests a second of one client address whose framing cannot be read; beyond them the node refuses the address for `edge.limits.refused`.',
  }),
  refusedMs: option({
    key: 'edge.limits.refused',
    type: duration(seconds, 60 * minutes),
    default: 30 * seconds,
    doc: 'Time for which the node closes all new HTTP and WebSocket connections of an address that sent too many malformed requests.',
  }),
  addressNewcomers: option({
    key: 'edge.limits.addressNewcomers',
    type: sockets,
    default: 5_000,
    unit: 'sockets',
    doc: 'Connections of `edge.limits.addressSockets` whose client has not said `hello` yet; one more is refused with 429.',
  }),
  addressConnects: option({
    key: 'edge.limits.addressConnects',
    type: rate,
    default: 1_000,
    unit: 'connections/s',
    doc: 'New connections a second of one client address, whether or not a request follows; the node closes more at once. A burst is 20 s. Not counted behind trusted proxies.',
  }),
  trustProxy: option({
    key: 'edge.trustProxy',
    type: integer(0, 16),
    default: 0,
    unit: 'proxies',
    doc: 'Proxies in front of this node that append to X-Forwarded-For. 0: the address of the connection counts.',
  }),
  bufferedBytes: option({
    key: 'edge.limits.buffered',
    type: size(MiB, 1024 * GiB),
    default: GiB,
    doc: 'Bytes that the node buffers for all slow consumers together. From 90 % on, requests that can wait are OVERLOADED.',
  }),
} as const
