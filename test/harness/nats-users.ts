import { join, relative } from 'node:path'
import { type NatsUser, natsUsers } from '../../src/infra/nats/rights/rights.ts'

const file = join(import.meta.dirname, '../../nats/users.conf')

/** The password of a user in tests. */
export const passwordOf = (user: NatsUser): string => `the-password-of-${user}`

/** Environment of a nats-server that includes nats/users.conf. */
export const userPasswords = (): Record<string, string> =>
  Object.fromEntries(natsUsers.map(user => [`CONFAB_NATS_${user.toUpperCase()}_PASSWORD`, passwordOf(user)]))

/** The line that includes nats/users.conf in a configuration of a folder. */
export const includeUsers = (folder: string): string => `include ${JSON.stringify(relative(folder, file))}`

/** Prefix of the inboxes of a user. */
export const inboxPrefixOf = (user: NatsUser): string => `_INBOX_${user.toUpperCase()}`

/** Address of a server for a user. */
export const urlOf = (port: number, user: NatsUser): string =>
  `nats://${user}:${passwordOf(user)}@127.0.0.1:${port}`

/** Environment of a confab process or command that connects as a user. */
export const environmentOf = (port: number, user: NatsUser): Record<string, string> => ({
  CONFAB_NATS: urlOf(port, user),
  CONFAB_NATS_INBOX_PREFIX: inboxPrefixOf(user),
})
