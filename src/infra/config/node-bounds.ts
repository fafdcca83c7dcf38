import type { Option } from '../../base/option.ts'
import { busOptions, remoteOptions } from '../../commands/index.ts'
import { catchUpOptions, connectionOptions, signalOptions } from '../../edge/ports/edge-limits.ts'
import { presenceOptions } from '../../edge/ports/presence-limits.ts'
import { rateOptions } from '../../edge/ports/rate-limits.ts'
import { mediaOptions } from '../../media/index.ts'
import { cassandraOptions } from '../cassandra/options.ts'

/** A bound that all clients of a process, or of a conversation, use up together. */
export interface NodeBound {
  readonly bound: Option<number>
  /** The kind of holder that has a share. A client without an identity counts by its address. */
  readonly holder: 'user' | 'address'
  /** The option of the share; a text where the share is no option of its own. */
  readonly share: Option<number> | string
  /** The effect on a holder beyond its share. */
  readonly beyond: string
}

const waits = 'waits, the users in turn'
const overloaded = '`OVERLOADED`'

/**
 * Every bound that clients share, with the share of one holder: a holder that fills its share must leave others served.
 * docs/configuration.md lists them, and test/edge/shares.test.ts fills each one.
 */
export const nodeBounds: readonly NodeBound[] = [
  { bound: catchUpOptions.resumes, holder: 'user', share: catchUpOptions.userResumes, beyond: waits },
  { bound: connectionOptions.searches, holder: 'user', share: connectionOptions.userSearches, beyond: waits },
  {
    bound: presenceOptions.presenceWatched,
    holder: 'user',
    share: presenceOptions.userPresenceWatched,
    beyond: overloaded,
  },
  {
    bound: signalOptions.typists,
    holder: 'user',
    share: signalOptions.userTypists,
    beyond: 'no signal is sent',
  },
  { bound: rateOptions.hellos, holder: 'user', share: rateOptions.userHellos, beyond: overloaded },
  {
    bound: rateOptions.hellos,
    holder: 'address',
    share: 'none without a valid token; `edge.limits.addressFailures` limits invalid ones',
    beyond: overloaded,
  },
  {
    bound: rateOptions.bufferedBytes,
    holder: 'user',
    share: connectionOptions.userBufferedBytes,
    beyond: 'the slowest session is closed with 4008',
  },
  { bound: busOptions.open, holder: 'user', share: connectionOptions.userInFlight, beyond: overloaded },
  { bound: remoteOptions.open, holder: 'user', share: connectionOptions.userInFlight, beyond: overloaded },
  { bound: busOptions.queued, holder: 'user', share: busOptions.userQueued, beyond: overloaded },
  {
    bound: rateOptions.conversationRequests,
    holder: 'user',
    share: 'a quarter, once half of a burst is used; refused requests do not count',
    beyond: '`RATE_LIMITED`',
  },
  {
    bound: rateOptions.conversationBytes,
    holder: 'user',
    share: 'a quarter, once half of a burst is used; refused requests do not count',
    beyond: '`RATE_LIMITED`',
  },
  {
    bound: mediaOptions.verifications,
    holder: 'user',
    share: mediaOptions.userVerifications,
    beyond: `${waits}; then ${overloaded}`,
  },
  {
    bound: mediaOptions.transfers,
    holder: 'address',
    share: mediaOptions.addressTransfers,
    beyond: overloaded,
  },
  {
    bound: cassandraOptions.readsInFlight,
    holder: 'user',
    share: connectionOptions.userLargeAnswers,
    beyond: waits,
  },
  {
    bound: presenceOptions.lastSeenWaiting,
    holder: 'user',
    share: 'one entry',
    beyond: 'the entry is replaced',
  },
]
