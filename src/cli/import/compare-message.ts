import type { MessageRef } from '../../commands/index.ts'
import { asksFor } from '../../events/index.ts'
import type { ImportMessage } from './import-item.ts'
import { sendOf } from './plan-commands.ts'

/** Returns how a message differs from the message with its id that the log holds. Undefined: they are the same. */
export const differenceFrom = (stored: MessageRef, item: ImportMessage): string | undefined => {
  const { user, at } = item
  const { from, fingerprint } = stored
  if (from !== user) return 'another sender'
  if (stored.at !== at) return 'another time'
  const recorded = { type: 'message.posted', fingerprint } as const
  return asksFor(sendOf(item), user, recorded) ? undefined : 'another text, reply or data'
}
