import { FairSemaphore } from '../../base/fair-semaphore.ts'
import type { StateReader, UserView } from '../../commands/index.ts'

/** States of users that are read at once for requests of one type: of all callers, and of one of them. */
const readsAtOnce = { total: 200, share: 20 }

/**
 * Reads the state of a user for a request of `caller`. A state that is not cached is read from the log, so one caller
 * has a bounded number of reads at once. Rejects as the states do.
 */
export type UserReads = (caller: string, user: string) => Promise<UserView>

/** Creates the reads of one type of request. */
export const createUserReads = (states: Pick<StateReader, 'user'>): UserReads => {
  const reads = new FairSemaphore(readsAtOnce)
  return (caller, user) => reads.run(caller, async () => await states.user(user))
}
