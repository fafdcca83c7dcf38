import { commandContext } from '../../src/commands/index.ts'
import type { TestConfab } from './confab.ts'

/** Lets all users see whether these users are online. Makes none of them online. */
export const showPresence = async ({ bus }: TestConfab, ...users: readonly string[]): Promise<void> => {
  await Promise.all(
    users.map(user => bus.execute({ id: '1', t: 'privacy', lastSeen: 'everybody' }, commandContext(user))),
  )
}
