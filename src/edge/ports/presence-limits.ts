import { option } from '../../base/option.ts'
import {
  days,
  duration,
  GiB,
  hours,
  integer,
  MiB,
  minutes,
  orOff,
  seconds,
  size,
} from '../../base/option-types.ts'

/** Online, away and offline, and the time a user was last seen. */
export const presenceOptions = {
  awayMs: option({
    key: 'edge.presence.away',
    type: orOff(duration(100, days)),
    default: 5 * minutes,
    doc: "Time without activity at any of a user's devices after which the user is away. Off: never.",
  }),
  offlineMs: option({
    key: 'edge.presence.offline',
    type: duration(0, hours),
    default: 10 * seconds,
    doc: "Time after the user's last socket closed until the user is offline.",
  }),
  presenceEveryMs: option({
    key: 'edge.presence.every',
    type: duration(10, minutes),
    default: seconds,
    doc: 'Time between two updates of presence to other nodes and to watching sessions.',
  }),
  presenceLifeMs: option({
    key: 'edge.presence.life',
    type: duration(seconds, 10 * minutes),
    default: 15 * seconds,
    doc: 'Time without an update of another node after which its users are offline.',
  }),
  lastSeenMs: option({
    key: 'edge.presence.lastSeen',
    type: duration(minutes, 3_650 * days),
    default: 30 * days,
    doc: 'Time that the system keeps when a user was last seen.',
  }),
  lastSeenWaiting: option({
    key: 'edge.presence.lastSeenWaiting',
    type: integer(1, 100_000_000),
    default: 100_000,
    unit: 'users',
    doc: 'Users whose last-seen time waits to be written; the node drops further ones.',
  }),
  presenceWatched: option({
    key: 'edge.presence.watched',
    type: integer(1, 100_000_000),
    default: 200_000,
    unit: 'users',
    doc: 'Users whose presence sessions of this node watch; more are OVERLOADED.',
  }),
  userPresenceWatched: option({
    key: 'edge.presence.userWatched',
    type: integer(1, 100_000_000),
    default: 2_000,
    unit: 'users',
    doc: 'Users that the sessions of one user watch, added up over its sessions at this node; more are OVERLOADED.',
  }),
  presenceBytes: option({
    key: 'edge.presence.bytes',
    type: size(MiB, 64 * GiB),
    default: 256 * MiB,
    doc: 'Memory for the presence of users of other nodes. Users beyond it appear offline.',
  }),
  presenceCounted: option({
    key: 'edge.presence.counted',
    type: integer(1, 1_000_000),
    default: 1_000,
    unit: 'members',
    doc: 'Members of a conversation that the node counts exactly as online. It estimates the rest.',
  }),
} as const
