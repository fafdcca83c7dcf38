import type { Nats } from '../client/connection.ts'
import { NatsError, NatsProblem } from '../client/nats-error.ts'
import { loadStreams } from '../log/stream-definitions.ts'
import { type OwnRights, ownRights } from './own-rights.ts'
import { dangerousSubjects, type ProcessRole, type Rights, rightsOfRoles } from './rights.ts'

/** Names at most this many subjects. */
const shown = 3

const list = (subjects: readonly string[]): string =>
  `${subjects.slice(0, shown).join(', ')}${subjects.length > shown ? ` and ${subjects.length - shown} more` : ''}`

/** Returns what a user lacks of these rights. */
const missingIn = ({ mayPublish, maySubscribe }: OwnRights, { publish, subscribe }: Rights): string[] => [
  ...publish.filter(subject => !mayPublish(subject)).map(subject => `publish to ${subject}`),
  ...subscribe.filter(subject => !maySubscribe(subject)).map(subject => `subscribe to ${subject}`),
]

/** Throws NatsError when the user of a connection lacks rights that a process with these roles needs. */
export const checkRights = async (nats: Nats, roles: readonly ProcessRole[]): Promise<void> => {
  const own = await ownRights(nats)
  const missing = own.isRestricted ? missingIn(own, rightsOfRoles(roles, loadStreams())) : []
  if (missing.length > 0)
    throw new NatsError(
      NatsProblem.rights,
      `the NATS user ${nats.user ?? '(none)'} lacks rights of the roles ${roles.join(', ')}: it may not ${list(missing)}; use a user of nats/users.conf, or the rights that "confab streams rights" prints`,
    )
}

/** The rights of a user as `confab doctor` reports them. */
export interface RightsFinding {
  /**
   * `all`: the server limits nothing. `few`: the user may change no stream. `too many`: it may. `shared`: it may not,
   * but shares the account of the log, so that the answers to its requests can.
   */
  readonly rights: 'all' | 'few' | 'too many' | 'shared'
  /** Subjects to which only an administrator needs to publish, and this user may, although it is restricted. */
  readonly excess: string
}

/** Resolves with the rights of the user of a connection. Never rejects. */
export const rightsFinding = async (nats: Nats): Promise<RightsFinding> => {
  const { isRestricted, hasAccount, mayPublish } = await ownRights(nats)
  const dangerous = dangerousSubjects(loadStreams())
  const excess = isRestricted ? dangerous.filter(mayPublish) : []
  if (!isRestricted || excess.length === dangerous.length) return { rights: 'all', excess: '' }
  if (excess.length > 0) return { rights: 'too many', excess: list(excess) }
  return { rights: hasAccount ? 'few' : 'shared', excess: '' }
}
