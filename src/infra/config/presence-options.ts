import { defaultEdgeLimits, type EdgeLimits } from '../../edge/ports/edge-limits.ts'
import { limit, type OptionsOf, orOff } from './limit-option.ts'
import { duration, integer, size } from './values.ts'

const MiB = 1024 ** 2
const GiB = 1024 ** 3
const seconds = 1_000
const minutes = 60_000
const hours = 60 * minutes

const edge = defaultEdgeLimits

/** Who is online, away and offline (src/edge/presence). */
export const presenceOptions: OptionsOf<
  Pick<
    EdgeLimits,
    | 'awayMs'
    | 'offlineMs'
    | 'presenceEveryMs'
    | 'presenceLifeMs'
    | 'lastSeenMs'
    | 'lastSeenWaiting'
    | 'presenceWatched'
    | 'presenceBytes'
    | 'presenceCounted'
  >
> = {
  awayMs: limit(
    'edge.presence.away',
    orOff(duration(100, 24 * hours)),
    edge.awayMs,
    "How long nothing is done at any of a user's devices before it is away.",
  ),
  offlineMs: limit(
    'edge.presence.offline',
    duration(0, hours),
    edge.offlineMs,
    'How long after its last socket has gone a user is offline.',
  ),
  presenceEveryMs: limit(
    'edge.presence.every',
    duration(10, minutes),
    edge.presenceEveryMs,
    'How often what has changed is told, to other nodes and to who watches, together.',
  ),
  presenceLifeMs: limit(
    'edge.presence.life',
    duration(seconds, 10 * minutes),
    edge.presenceLifeMs,
    'How long a node is silent before its users are offline.',
  ),
  lastSeenMs: limit(
    'edge.presence.lastSeen',
    duration(minutes, 3_650 * 24 * hours),
    edge.lastSeenMs,
    'For how long it is known when a user was last here.',
  ),
  lastSeenWaiting: limit(
    'edge.presence.lastSeenWaiting',
    integer(1, 100_000_000),
    edge.lastSeenWaiting,
    'Users of whom that waits to be written; of more it is not known.',
  ),
  presenceWatched: limit(
    'edge.presence.watched',
    integer(1, 100_000_000),
    edge.presenceWatched,
    'Users that are watched at a node; more are OVERLOADED.',
  ),
  presenceBytes: limit(
    'edge.presence.bytes',
    size(MiB, 64 * GiB),
    edge.presenceBytes,
    'Bytes of what other nodes say of their users; those beyond look offline.',
  ),
  presenceCounted: limit(
    'edge.presence.counted',
    integer(1, 1_000_000),
    edge.presenceCounted,
    'Members up to which those who are here are counted exactly; of more, as many are.',
  ),
}
