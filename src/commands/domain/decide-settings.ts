import {
  asksFor,
  type ConversationEvent,
  dataChangeOf,
  isUnchanged,
  newData,
  type Role,
} from '../../events/index.ts'
import { type Decision, type Refusal, refuse } from './aggregate.ts'
import { type CommandOf, refuseBlocked, refuseReuse, refuseStranger, roleIn } from './conversation-command.ts'
import type { ConversationState } from './conversation-state.ts'
import { admittedAtCreation, refuseAdding, refuseManyInvitations } from './invitations.ts'

type ConversationDecision = Decision<ConversationEvent>

/** Refuses a second direct conversation of two users, and names the one that they have. */
const refusePair = (c: string): Refusal => ({
  ...refuse('ALREADY_EXISTS', 'You have a direct conversation with this user already.', '/members'),
  c,
})

export const decideCreate = (
  state: ConversationState,
  { request, from, at, id, blocked, pair, consent, limits }: CommandOf<'create'>,
): ConversationDecision => {
  if (state.seq > 0) {
    if (state.creation !== id) return refuse('ALREADY_EXISTS', undefined, '/c')
    const created = { type: 'conversation.created', fingerprint: state.creationFingerprint } as const
    return asksFor(request, from, created)
      ? { unchanged: { seq: 1, duplicate: true }, done: true }
      : refuseReuse(request.t)
  }
  const { c, kind, title, historyFrom } = request
  const data = newData(request.data)
  const members = new Map<string, Role>([[from, 'owner']])
  let invited: readonly string[] = []
  if (kind === 'direct') {
    for (const user of request.members) if (user !== from) members.set(user, 'member')
    if (historyFrom !== undefined)
      return refuse('BAD_REQUEST', 'A direct conversation has no settings.', '/historyFrom')
    if (members.size !== 2)
      return refuse('BAD_REQUEST', 'A direct conversation has exactly two members.', '/members')
    if (blocked === true) return refuseBlocked()
    if (pair !== undefined && pair !== c) return refusePair(pair)
  } else if (request.members.length > 0) {
    if (consent === undefined) throw new TypeError('create needs the consent of the users')
    const admitted = admittedAtCreation(from, request.members, consent)
    if ('refused' in admitted) return refuseAdding(admitted.refused)
    for (const user of admitted.added) members.set(user, 'member')
    invited = admitted.invited
    const refusal = refuseManyInvitations(state.invitations, from, invited.length, limits, '/members')
    if (refusal !== undefined) return refusal
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
      ...(historyFrom === undefined ? {} : { historyFrom }),
      ...(invited.length === 0 ? {} : { invited: [...invited] }),
      ...(data === undefined ? {} : { data }),
    },
  }
}

export const decideRename = (
  state: ConversationState,
  { request: { title }, from, at, follows, blocked }: CommandOf<'rename'>,
): ConversationDecision => {
  const role = roleIn(state, { from, follows, at })
  if (role === undefined) return refuseStranger(state)
  if (state.kind === 'direct') return refuse('FORBIDDEN', 'A direct conversation has no title.')
  if (role === 'member') return refuse('FORBIDDEN', 'Only the owner and admins may do this.')
  if (blocked === true) return refuseBlocked()
  if (state.title === title) return { unchanged: { seq: state.seq } }
  return {
    event: { t: 'event', c: state.c, seq: state.seq + 1, type: 'conversation.renamed', from, at, title },
  }
}

const settingsOf = ({ posting, slowMode, archived, historyFrom }: ConversationState) => ({
  posting,
  slowModeSeconds: slowMode?.seconds ?? 0,
  archived,
  historyFrom,
})

export const decideSettings = (
  state: ConversationState,
  { request, from, at, follows, blocked }: CommandOf<'settings'>,
): ConversationDecision => {
  const role = roleIn(state, { from, follows, at })
  if (role === undefined) return refuseStranger(state)
  if (state.kind === 'direct') return refuse('FORBIDDEN', 'A direct conversation has no settings.')
  if (role === 'member') return refuse('FORBIDDEN', 'Only the owner and admins may do this.')
  if (blocked === true) return refuseBlocked()
  const before = settingsOf(state)
  const { posting = before.posting, slowModeSeconds = before.slowModeSeconds } = request
  const { archived = before.archived, historyFrom = before.historyFrom } = request
  const data = dataChangeOf(request.data)
  if (
    posting === before.posting &&
    slowModeSeconds === before.slowModeSeconds &&
    archived === before.archived &&
    historyFrom === before.historyFrom &&
    isUnchanged(state.data, data)
  )
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
      archived,
      historyFrom,
      ...(archived && state.invitations.size > 0 ? { uninvited: [...state.invitations.keys()] } : {}),
      ...(data === undefined ? {} : { data }),
    },
  }
}
