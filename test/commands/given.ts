import type { Decision } from '../../src/commands/domain/aggregate.ts'
import type { ConversationCommand } from '../../src/commands/domain/conversation-command.ts'
import {
  type ConversationState,
  emptyConversation,
  evolveConversation,
} from '../../src/commands/domain/conversation-state.ts'
import { decideConversation } from '../../src/commands/domain/decide-conversation.ts'
import type { ConversationEvent, ConversationRequest } from '../../src/events/index.ts'

export const at = '2026-11-24T02:30:43.123Z'
export const c = 'c1'

type Without<T> = T extends unknown ? Omit<T, 'id' | 'c'> : never

/** A request in conversation `c1`, without the common fields. */
export type Wish = Without<ConversationRequest>

let commands = 0

/** Creates a command with an id of its own. */
export const command = (
  from: string,
  wish: Wish,
  more: Partial<Omit<ConversationCommand, 'request' | 'from'>> = {},
): ConversationCommand => {
  const request = { id: '1', c, ...wish } as ConversationRequest
  const id = request.t === 'send' ? `m.${c}.${from}.${request.m}` : `command-${++commands}`
  // Every user consents, unless a test says otherwise.
  return { request, from, at, id, consent: () => 'add', ...more }
}

/** Evolves a state by an event, as if the log had stored it. */
export const evolve = (state: ConversationState, event: ConversationEvent, commandId: string): void =>
  evolveConversation(state, event, { stream: 'CONV_0', streamSeq: event.seq * 10, commandId })

/** Decides and evolves the state by the result. */
export const run = (state: ConversationState, given: ConversationCommand): Decision<ConversationEvent> => {
  const decision = decideConversation(state, given)
  if ('event' in decision) evolve(state, decision.event, given.id)
  return decision
}

/** Returns a conversation in which this history was accepted. */
export const given = (...history: [from: string, wish: Wish][]): ConversationState => {
  const state = emptyConversation(c)
  for (const [from, wish] of history) {
    const decision = run(state, command(from, wish))
    if (!('event' in decision))
      throw new Error(`given: ${from} ${JSON.stringify(wish)}: ${JSON.stringify(decision)}`)
  }
  return state
}

/** Returns the decision without changing the state. */
export const when = (
  state: ConversationState,
  from: string,
  wish: Wish,
  more: Partial<ConversationCommand> = {},
): Decision<ConversationEvent> => decideConversation(state, command(from, wish, more))

/** Returns the code of a refusal, or the kind of decision. */
export const codeOf = (decision: Decision<ConversationEvent>): string => {
  if ('refused' in decision) return decision.refused
  return 'event' in decision ? decision.event.type : 'unchanged' in decision ? 'unchanged' : 'lacks'
}

/** A group of alice (owner), adam (admin), mia and max (members). */
export const group = (kind: 'group' | 'channel' = 'group'): ConversationState =>
  given(
    ['alice', { t: 'create', kind, title: 'Tea', members: ['adam', 'mia', 'max'] }],
    ['alice', { t: 'role', user: 'adam', role: 'admin' }],
  )

/** A direct conversation of alice, who created it, and bob. */
export const direct = (): ConversationState =>
  given(['alice', { t: 'create', kind: 'direct', members: ['bob'] }])
