import { v7 } from 'uuid'
import {
  type AggregateRef,
  type AnswerOf,
  ConfabError,
  type ConversationEvent,
  Family,
  type RequestOf,
  type UserEvent,
} from '../../events/index.ts'
import { type ConversationState, isDirectOf } from '../domain/conversation-state.ts'
import type { UserState } from '../domain/user-state.ts'
import type { AggregateCache } from '../states/aggregate-cache.ts'
import type { FailureLog } from '../states/state-reader.ts'
import { type Command, type CommandsInFlight, otherHome, queuedCommand } from './command-handler.ts'
import type { CommandQueues } from './command-queue.ts'
import type { MutableConversationCommand } from './conversation-handler.ts'
import type { MutableUserCommand } from './user-handler.ts'

/** The user who opens a direct conversation, and the command that does it. */
export interface Opening extends Command {
  readonly at: string
  readonly traceparent?: string | undefined
}

type UserQueues = CommandQueues<UserState, UserEvent, MutableUserCommand & Command>
type ConversationQueues = CommandQueues<
  ConversationState,
  ConversationEvent,
  MutableConversationCommand & Command
>

/** Returns the user whose log records the direct conversation of two users: both users' commands meet there. */
const recorderOf = (user: string, other: string): string => (user < other ? user : other)

/**
 * Resolves with the id of the direct conversation of two users: the recorded one; else `proposed`, which is recorded
 * now. The expected sequence of the append decides between two nodes. Rejects with ConfabError: FORBIDDEN for a block,
 * BAD_REQUEST if both users are the same, LOG_DAMAGED without a field if the recorded conversation is damaged.
 */
export const claimDirect = (
  users: UserQueues,
  { from, at, traceparent, id, isWanted }: Opening,
  other: string,
  proposed: string,
): Promise<string> => {
  const user = recorderOf(from, other)
  const command: MutableUserCommand & Command = {
    request: { id: '', t: 'direct', user: other },
    user,
    from,
    at,
    id,
    isWanted,
    proposed,
  }
  return new Promise((resolve, reject) => {
    const settled = (answer: object): void => resolve((answer as { c: string }).c)
    users.push(
      user,
      queuedCommand(command, traceparent, settled, error => reject(withoutField(error))),
    )
  })
}

/** The recorded conversation may be damaged. It is not the one that the request names as `/c`. */
const withoutField = (error: Error): Error =>
  ConfabError.is(error) && error.code === 'LOG_DAMAGED'
    ? new ConfabError(error.code, error.message, { cause: error.cause })
    : error

interface Parts {
  readonly users: UserQueues
  readonly conversations: ConversationQueues
  readonly states: Pick<AggregateCache<ConversationState, ConversationEvent>, 'load' | 'current'>
  readonly userStates: Pick<AggregateCache<UserState, UserEvent>, 'current'>
  readonly inFlight: CommandsInFlight
  readonly failures: FailureLog
  /** Whether the home of an aggregate is this region. Undefined in a system of one region. */
  readonly decides: ((aggregate: AggregateRef) => boolean) | undefined
}

/** Ids that are tried for a conversation whose home is this region. */
const maxIds = 256

/** Attempts, in case that conversations of other users take the recorded ids before the pair's is created. */
const maxAttempts = 3

/**
 * Opens direct conversations: one for each pair of users. The id is recorded in the log of one of the two, then the
 * conversation is created. After a crash in between, the next attempt of either user creates it.
 */
export class DirectConversations {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Resolves with the direct conversation of two users, after creating it if needed. Rejects with ConfabError. */
  async open(opening: Opening, other: string): Promise<AnswerOf['direct']> {
    const { users, states, inFlight, failures } = this.#parts
    const { from, id } = opening
    inFlight.add()
    try {
      for (let attempt = 1; attempt <= maxAttempts; attempt++) {
        // Another id than that of the creation, because both logs may hold an event of the command.
        const proposed = await this.#newId(from, other)
        const c = await claimDirect(users, { ...opening, id: `d${attempt}.${id}` }, other, proposed)
        if ((await states.load(c)).state.seq === 0 && (await this.#isCreated(opening, c, other)))
          return { c, seq: 1, created: true }
        const [{ state }] = await Promise.all([states.current(c), this.#unhide(opening, c)])
        if (isDirectOf(state, from, other)) return { c, seq: state.seq, created: false }
      }
      throw new ConfabError('OVERLOADED')
    } catch (error) {
      failures.report(error, { command: id })
      throw ConfabError.from(error)
    } finally {
      inFlight.remove()
    }
  }

  /**
   * Creates a direct conversation with an id of the client's choice, unless the two users have one. Keeps the place of
   * the command in the queue of the conversation. Rejects with ConfabError; ALREADY_EXISTS names the conversation of
   * the two users, which exists then.
   */
  async create(command: MutableConversationCommand & Command, opening: Opening): Promise<AnswerOf['create']> {
    const { inFlight } = this.#parts
    inFlight.add()
    try {
      return (await this.#push(command, opening.traceparent)) as AnswerOf['create']
    } catch (error) {
      const { request, from } = command
      const other = request.t === 'create' ? request.members.find(user => user !== from) : undefined
      if (!ConfabError.is(error) || error.c === undefined || other === undefined) throw error
      const { c } = await this.open(opening, other)
      throw new ConfabError(error.code, error.message, { field: '/members', c })
    } finally {
      inFlight.remove()
    }
  }

  /**
   * Returns a new id of a conversation whose home is this region, so that this node can create it. Rejects with
   * ConfabError UNAVAILABLE when there is none, unless the pair has a recorded conversation.
   */
  async #newId(user: string, other: string): Promise<string> {
    const { decides, userStates } = this.#parts
    let id = v7()
    for (let tried = 1; decides?.({ family: Family.conversation, id }) === false; tried++) {
      if (tried === maxIds) {
        const recorder = recorderOf(user, other)
        const { state } = await userStates.current(recorder)
        if (state.directs.has(recorder === user ? other : user)) break
        throw otherHome()
      }
      id = v7()
    }
    return id
  }

  /** Shows the conversation in the inbox of the user who opens it, if the user has hidden it. */
  async #unhide({ from, at, id, isWanted, traceparent }: Opening, c: string): Promise<void> {
    const { state } = await this.#parts.userStates.current(from)
    if (!state.hidden.has(c)) return
    const request = { id: '', t: 'hide', c, on: false } as const
    const command = { request, user: from, from, at, id: `h.${id}`, isWanted }
    await new Promise((resolve, reject) => {
      this.#parts.users.push(from, queuedCommand(command, traceparent, resolve, reject))
    })
  }

  /** Creates the recorded conversation. False: its id is taken, by a creation of the other user or by other users. */
  async #isCreated(opening: Opening, c: string, other: string): Promise<boolean> {
    const request: RequestOf['create'] = { id: '', t: 'create', c, kind: 'direct', members: [other] }
    const { from, at, id, isWanted, traceparent } = opening
    try {
      await this.#push({ request, from, at, id, isWanted, pair: c }, traceparent)
      return true
    } catch (error) {
      if (ConfabError.is(error) && error.code === 'ALREADY_EXISTS') return false
      throw error
    }
  }

  #push(command: MutableConversationCommand & Command, traceparent: string | undefined): Promise<object> {
    return new Promise((resolve, reject) => {
      this.#parts.conversations.push(command.request.c, queuedCommand(command, traceparent, resolve, reject))
    })
  }
}
