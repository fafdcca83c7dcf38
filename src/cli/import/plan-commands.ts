import type { ConversationView } from '../../commands/index.ts'
import type { ConversationRequest } from '../../events/index.ts'
import type { ImportItem } from './import-item.ts'

export interface PlannedCommand {
  readonly request: ConversationRequest
  readonly from: string
  readonly at: string
}

/** What is planned already and not in the conversation's state yet. Emptied when nothing is under way. */
export interface Planned {
  /** The conversation will have been created. */
  isCreated: boolean
  /** Who will have come, who will have gone. */
  readonly members: Map<string, boolean>
}

export const nothingPlanned = (): Planned => ({ isCreated: false, members: new Map() })

let requestId = 0
const id = (): string => String(++requestId)

/**
 * The commands that an item takes, on a conversation's state and what is planned on top of it: none when there is nothing to change, a `create` or `join` first
 * where the sender is not in it. Pure but for `planned`, which it brings up to date.
 */
export const planCommands = (
  item: ImportItem,
  view: ConversationView | undefined,
  planned: Planned,
  title: string | undefined,
): PlannedCommand[] => {
  const { c, user, at } = item
  const commands: PlannedCommand[] = []
  const isMember = planned.members.get(user) ?? view?.roleOf(user) !== undefined
  const add = (request: ConversationRequest): void => {
    commands.push({ request, from: user, at })
  }
  if (item.kind === 'leave') {
    if (!isMember) return commands
    planned.members.set(user, false)
    add({ id: id(), t: 'leave', c })
    return commands
  }
  if (view === undefined && !planned.isCreated) {
    // The first who is seen in a channel has created it, as on IRC. The key makes a repeated `create` known.
    planned.isCreated = true
    planned.members.set(user, true)
    add({
      id: id(),
      t: 'create',
      c,
      kind: 'channel',
      members: [],
      key: 'import',
      ...(title === undefined ? {} : { title }),
    })
  } else if (!isMember) {
    planned.members.set(user, true)
    add({ id: id(), t: 'join', c })
  }
  if (item.kind === 'message') {
    const { m, text, replyTo } = item
    add({ id: id(), t: 'send', c, m, text, ...(replyTo === undefined ? {} : { replyTo }) })
  }
  return commands
}
