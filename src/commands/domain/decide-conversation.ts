import {
  asksFor,
  type ConversationEvent,
  type ConversationRequest,
  canonicalEmoji,
  dataChangeOf,
  Limits,
  type MessageEdited,
  type MessagePosted,
  newData,
  type Role,
} from '../../events/index.ts'
import type { MessageRef } from '../ports/message-lookup.ts'
import { type Decision, type Refusal, refuse } from './aggregate.ts'
import {
  type CommandOf,
  type ConversationCommand,
  messageOf,
  refuseArchived,
  refuseBlocked,
  refuseReuse,
  refuseStranger,
  roleIn,
  timeOfNext,
} from './conversation-command.ts'
import type { ConversationState } from './conversation-state.ts'
import {
  decideAccept,
  decideBan,
  decideDecline,
  decideInvite,
  decideJoin,
  decideLeave,
  decideRemove,
  decideRole,
  decideUnban,
} from './decide-members.ts'
import { decideCreate, decideRename, decideSettings } from './decide-settings.ts'
import { reactionKey, reactionsOf, recordedContent } from './recent-events.ts'
import { waitOf } from './slow-mode.ts'

type ConversationDecision = Decision<ConversationEvent>

/**
 * The decider of conversations: pure and deterministic. A command among the recent ones gets its first answer again,
 * before any check whether it is still allowed. Another command with the same id is refused.
 */
export const decideConversation = (
  state: ConversationState,
  given: ConversationCommand,
): ConversationDecision => {
  const at = timeOfNext(state, given)
  const command = at === given.at ? given : { ...given, at }
  const { request } = command
  if (request.t === 'send') return decideSend(state, command as CommandOf<'send'>)
  if (request.t === 'create') return decideCreate(state, command as CommandOf<'create'>)
  const known = state.recent.commands.get(command.id)
  if (known !== undefined) {
    const recorded = recordedContent(known)
    return recorded === undefined || asksFor(request, command.from, recorded)
      ? { unchanged: answerOfConversation(request.t, known, false), done: true }
      : refuseReuse(request.t)
  }
  if (command.id === state.creation) return refuseReuse(request.t)
  switch (request.t) {
    case 'edit':
      return decideEdit(state, command as CommandOf<'edit'>)
    case 'delete':
      return decideDelete(state, command as CommandOf<'delete'>)
    case 'react':
      return decideReact(state, command as CommandOf<'react'>)
    case 'invite':
      return decideInvite(state, command as CommandOf<'invite'>)
    case 'accept':
      return decideAccept(state, command as CommandOf<'accept'>)
    case 'decline':
      return decideDecline(state, command as CommandOf<'decline'>)
    case 'remove':
      return decideRemove(state, command as CommandOf<'remove'>)
    case 'ban':
      return decideBan(state, command as CommandOf<'ban'>)
    case 'unban':
      return decideUnban(state, command as CommandOf<'unban'>)
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

/** Returns the answer to a command that produced an event. */
export const answerOfConversation = (
  t: ConversationRequest['t'],
  { seq, at, type }: { readonly seq: number; readonly at?: string; readonly type?: string },
  duplicate: boolean,
): object => {
  if (t === 'send') return { seq, at, duplicate }
  if (t === 'create') return { seq, duplicate }
  return t === 'invite' && type === 'member.invited' ? { seq, pending: true } : { seq }
}

const utf8 = new TextEncoder()

const isTooLong = (text: string): boolean =>
  text.length * 3 > Limits.textBytes && utf8.encode(text).length > Limits.textBytes

const tooLong = (): Refusal =>
  refuse('TOO_LARGE', `text: at most ${Limits.textBytes} bytes of UTF-8.`, '/text')

const noMessage = (): Refusal => refuse('NOT_FOUND', 'This message does not exist.', '/m')

/** Refuses plain members where only staff may post: they cannot send or edit, and can react and delete. */
const refusePosting = (state: ConversationState, role: Role | undefined): Refusal | undefined =>
  state.posting === 'staff' && role === 'member'
    ? refuse('FORBIDDEN', 'Only the owner and admins may post here.')
    : undefined

/** Refuses a message of a plain member that slow mode does not allow yet. */
const refuseSlowMode = (
  state: ConversationState,
  role: Role,
  { from, at, now, isImported }: CommandOf<'send'>,
): Refusal | undefined => {
  if (state.slowMode === undefined || role !== 'member' || isImported === true) return undefined
  const retryAfterMs = waitOf(state.slowMode, from, at, now)
  if (retryAfterMs === 0) return undefined
  const { seconds } = state.slowMode
  const message = `Slow mode: one message every ${seconds} s in this conversation.`
  return { ...refuse('RATE_LIMITED', message), retryAfterMs }
}

const decideSend = (state: ConversationState, command: CommandOf<'send'>): ConversationDecision => {
  const { request, from, at, blocked: isBlocked, found } = command
  const { m, text, replyTo, attachments, data } = request
  // A repeated send gets its first answer, whatever has changed since.
  const recent = state.recent.messages.get(m)
  if (recent !== undefined && isRepeated(command, recent)) return repeated(recent)
  const role = roleIn(state, command)
  if (role === undefined) return refuseStranger(state)
  const message = messageOf(state, m, found)
  if (message !== undefined) {
    if ('lacks' in message) return message
    if (isRepeated(command, message)) return repeated(message)
    return message.from === from
      ? refuseReuse(request.t)
      : refuse('CONFLICT', 'Another user has already used this message id.', '/m')
  }
  if (isBlocked === true) return refuseBlocked()
  if (isTooLong(text)) return tooLong()
  const refusal = refuseArchived(state) ?? refusePosting(state, role) ?? refuseSlowMode(state, role, command)
  if (refusal !== undefined) return refusal
  const { c } = state
  const event: MessagePosted = {
    t: 'event',
    c,
    seq: state.seq + 1,
    type: 'message.posted',
    m,
    n: state.n + 1,
    from,
    at,
    text,
  }
  if (replyTo !== undefined) event.replyTo = replyTo
  if (attachments !== undefined && attachments.length > 0) event.attachments = attachments
  const stored = data === undefined ? undefined : newData(data)
  if (stored !== undefined) event.data = stored
  return { event }
}

const isRepeated = ({ request, from }: CommandOf<'send'>, message: MessageRef): boolean =>
  message.from === from &&
  asksFor(request, from, { type: 'message.posted', fingerprint: message.fingerprint })

const repeated = ({ seq, at }: { seq: number; at: string }): ConversationDecision => ({
  unchanged: { seq, at, duplicate: true },
  done: true,
})

/** Returns the message that a member edits or reacts to, or the refusal. */
const existingMessage = (
  state: ConversationState,
  command: CommandOf<'edit' | 'react'>,
): MessageRef | Refusal | { readonly lacks: string; readonly upTo: number } => {
  if (roleIn(state, command) === undefined) return refuseStranger(state)
  const { request, blocked: isBlocked, found } = command
  const { m } = request
  if (isBlocked === true) return refuseBlocked()
  const archived = refuseArchived(state)
  if (archived !== undefined) return archived
  const message = messageOf(state, m, found)
  if (message === undefined) return noMessage()
  return 'seq' in message && message.deleted ? noMessage() : message
}

const decideEdit = (state: ConversationState, command: CommandOf<'edit'>): ConversationDecision => {
  const { request, from, at } = command
  const { m, text } = request
  const message = existingMessage(state, command)
  if (!('seq' in message)) return message
  if (message.from !== from) return refuse('FORBIDDEN', 'Only its author may edit a message.')
  const refusal = refusePosting(state, roleIn(state, command))
  if (refusal !== undefined) return refusal
  if (isTooLong(text)) return tooLong()
  const { c } = state
  const event: MessageEdited = {
    t: 'event',
    c,
    seq: state.seq + 1,
    type: 'message.edited',
    m,
    from,
    at,
    messageSeq: message.seq,
    text,
  }
  const data = dataChangeOf(request.data)
  if (data !== undefined) event.data = data
  return { event }
}

const decideDelete = (state: ConversationState, command: CommandOf<'delete'>): ConversationDecision => {
  const { request, from, at, found } = command
  const { m } = request
  const role = roleIn(state, command)
  if (role === undefined) return refuseStranger(state)
  const message = messageOf(state, m, found)
  if (message === undefined) return noMessage()
  if ('lacks' in message) return message
  if (message.from !== from && (role === 'member' || state.kind === 'direct'))
    return refuse('FORBIDDEN', 'Only its author, an admin or the owner may delete a message.')
  if (message.deleted) return { unchanged: { seq: state.seq } }
  const { c } = state
  const seq = state.seq + 1
  return { event: { t: 'event', c, seq, type: 'message.deleted', m, from, at, messageSeq: message.seq } }
}

const decideReact = (state: ConversationState, command: CommandOf<'react'>): ConversationDecision => {
  const { request, from, at } = command
  const { m, on } = request
  const message = existingMessage(state, command)
  if (!('seq' in message)) return message
  const emoji = on ? request.emoji : removedEmoji(state, command)
  if (emoji === undefined || hasReaction(state, m, from, emoji) === on)
    return { unchanged: { seq: state.seq } }
  const refusal = on ? refuseReaction(state, command) : undefined
  if (refusal !== undefined) return refusal
  const { c } = state
  const seq = state.seq + 1
  return on
    ? { event: { t: 'event', c, seq, type: 'reaction.added', m, from, at, emoji } }
    : { event: { t: 'event', c, seq, type: 'reaction.removed', m, from, at, emoji } }
}

/**
 * Whether a user has a reaction; undefined when the state does not say. Views ignore a reaction that is added twice or
 * removed twice, so the state holds recent reactions only: all of those to a recent message.
 */
const hasReaction = (
  { recent }: ConversationState,
  m: string,
  from: string,
  emoji: string,
): boolean | undefined =>
  recent.reactions.get(reactionKey(m, from, emoji))?.on ??
  (recent.oldest === 1 || recent.messages.has(m) ? false : undefined)

/**
 * Returns the reaction that a request removes: the emoji in canonical form, or the text as given, which a build without
 * canonical forms may have stored. Undefined: there is no such reaction.
 */
const removedEmoji = (
  state: ConversationState,
  { request: { m, emoji: text }, from }: CommandOf<'react'>,
): string | undefined => {
  const emoji = canonicalEmoji(text)
  if (emoji === text) return emoji
  if (!state.hasOldReactions) return emoji
  if (emoji === undefined || hasReaction(state, m, from, text) === true) return text
  return hasReaction(state, m, from, emoji) === true || hasReaction(state, m, from, text) === false
    ? emoji
    : text
}

/** Refuses one more different reaction to a message that has as many as it may have, of all users or of this one. */
const refuseReaction = (
  { recent }: ConversationState,
  { request: { m, emoji }, from, limits }: CommandOf<'react'>,
): Refusal | undefined => {
  if (limits === undefined) return undefined
  const { messageReactions = Number.POSITIVE_INFINITY, userReactions = Number.POSITIVE_INFINITY } = limits
  const { emojis, own } = reactionsOf(recent, m, from)
  if (own >= userReactions)
    return refuse(
      'CONFLICT',
      `emoji: you have ${own} reactions to this message, and may have ${userReactions}. Remove one first.`,
      '/emoji',
    )
  if (emojis.size >= messageReactions && !emojis.has(emoji))
    return refuse(
      'CONFLICT',
      `emoji: this message has ${emojis.size} different reactions, and may have ${messageReactions}. Use one of them.`,
      '/emoji',
    )
  return undefined
}
