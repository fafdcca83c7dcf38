import type { ConversationEvent, ConversationRequest, Role } from '../../events/index.ts'
import { type Decision, refuse } from './aggregate.ts'
import { type CommandOf, type ConversationCommand, refuseStranger, roleIn } from './conversation-command.ts'
import type { ConversationState } from './conversation-state.ts'
import { decideInvite, decideJoin, decideLeave, decideRemove, decideRole } from './decide-members.ts'
import { decideDelete, decideEdit, decideReact, decideSend } from './decide-messages.ts'

type ConversationDecision = Decision<ConversationEvent>

/**
 * The decider of conversations: pure and deterministic. A command among the recent ones gets its first answer again,
 * before any check whether it is still allowed.
 */
export const decideConversation = (
  state: ConversationState,
  command: ConversationCommand,
): ConversationDecision => {
  const { request } = command
  if (request.t === 'send') return decideSend(state, command as CommandOf<'send'>)
  if (request.t === 'create') return decideCreate(state, command as CommandOf<'create'>)
  const seq = state.recent.commands.get(command.id)
  if (seq !== undefined) return { unchanged: { seq }, done: true }
  switch (request.t) {
    case 'edit':
      return decideEdit(state, command as CommandOf<'edit'>)
    case 'delete':
      return decideDelete(state, command as CommandOf<'delete'>)
    case 'react':
      return decideReact(state, command as CommandOf<'react'>)
    case 'invite':
      return decideInvite(state, command as CommandOf<'invite'>)
    case 'remove':
      return decideRemove(state, command as CommandOf<'remove'>)
    case 'role':
      return decideRole(state, command as CommandOf<'role'>)
    case 'join':
      return decideJoin(state, command as CommandOf<'join'>)
    case 'leave':
      return decideLeave(state, command as CommandOf<'leave'>)
    case 'rename':
      return decideRename(state, command as CommandOf<'rename'>)
    case 'settings':
      return decideSettings(state, command as CommandOf<'settings'>)
  }
}

const decideCreate = (
  state: ConversationState,
  { request, from, at, id, blocked }: CommandOf<'create'>,
): ConversationDecision => {
  if (state.seq > 0)
    return state.creation === id
      ? { unchanged: { seq: 1, duplicate: true }, done: true }
      : refuse('ALREADY_EXISTS', undefined, '/c')
  const { c, kind, title } = request
  const members = new Map<string, Role>([[from, 'owner']])
  for (const user of request.members) if (user !== from) members.set(user, 'member')
  if (kind === 'direct') {
    if (members.size !== 2)
      return refuse('BAD_REQUEST', 'A direct conversation has exactly two members.', '/members')
    if (blocked === true) return refuse('FORBIDDEN', 'One of you has blocked the other.')
  }
  return {
    event: {
      t: 'event',
      c,
      seq: 1,
      type: 'conversation.created',
      from,
      at,
      kind,
      ...(title === undefined ? {} : { title }),
      members: Array.from(members, ([user, role]) => ({ user, role })),
    },
  }
}

const decideRename = (
  state: ConversationState,
  { request: { title }, from, at, follows }: CommandOf<'rename'>,
): ConversationDecision => {
  const role = roleIn(state, { from, follows })
  if (role === undefined) return refuseStranger(state)
  if (state.kind === 'direct') return refuse('FORBIDDEN', 'A direct conversation has no title.')
  if (role === 'member') return refuse('FORBIDDEN', 'Only the owner and admins may do this.')
  if (state.title === title) return { unchanged: { seq: state.seq } }
  return {
    event: { t: 'event', c: state.c, seq: state.seq + 1, type: 'conversation.renamed', from, at, title },
  }
}

const decideSettings = (
  state: ConversationState,
  { request, from, at, follows }: CommandOf<'settings'>,
): ConversationDecision => {
  const role = roleIn(state, { from, follows })
  if (role === undefined) return refuseStranger(state)
  if (state.kind === 'direct') return refuse('FORBIDDEN', 'A direct conversation has no settings.')
  if (role === 'member') return refuse('FORBIDDEN', 'Only the owner and admins may do this.')
  const before = { posting: state.posting, slowModeSeconds: state.slowMode?.seconds ?? 0 }
  const { posting = before.posting, slowModeSeconds = before.slowModeSeconds } = request
  if (posting === before.posting && slowModeSeconds === before.slowModeSeconds)
    return { unchanged: { seq: state.seq } }
  return {
    event: {
      t: 'event',
      c: state.c,
      seq: state.seq + 1,
      type: 'conversation.settings_changed',
      from,
      at,
      posting,
      slowModeSeconds,
    },
  }
}

/** Returns the answer to a command that produced an event. */
export const answerOfConversation = (
  t: ConversationRequest['t'],
  seq: number,
  at: string,
  duplicate: boolean,
): object => {
  if (t === 'send') return { seq, at, duplicate }
  return t === 'create' ? { seq, duplicate } : { seq }
}
