import type { ConversationView } from '../../commands/index.ts'
import type { ConversationRequest } from '../../events/index.ts'
import type { ImportItem, ImportMessage } from './import-item.ts'

export interface PlannedCommand {
  readonly request: ConversationRequest
  readonly from: string
  readonly at: string
}

/** Effects of commands under way, which the state of the conversation does not show yet. */
export interface Planned {
  /** Whether a command creates the conversation. */
  isCreated: boolean
  /** Users who join (true) or leave (false). */
  readonly members: Map<string, boolean>
}

export const nothingPlanned = (): Planned => ({ isCreated: false, members: new Map() })

let requestId = 0
const id = (): string => String(++requestId)

/**
 * Returns the commands for an item, given the state of its conversation and the effects of commands under way. Adds a
 * `create` or `join` when the sender is not a member; returns none when the item changes nothing. Updates `planned`.
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
    // The first user of a channel creates it, as on IRC. The key identifies a repeated `create`.
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
  if (item.kind === 'message') add(sendOf(item))
  return commands
}

/** Returns the request that posts a message. */
export const sendOf = ({ c, m, text, replyTo, data }: ImportMessage): ConversationRequest => ({
  id: id(),
  t: 'send',
  c,
  m,
  text,
  ...(replyTo === undefined ? {} : { replyTo }),
  ...(data === undefined ? {} : { data }),
})
