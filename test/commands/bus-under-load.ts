import type { Test } from 'tap'
import {
  type ConversationState,
  emptyConversation,
  evolveConversation,
} from '../../src/commands/domain/conversation-state.ts'
import { decideConversation } from '../../src/commands/domain/decide-conversation.ts'
import { recentCapacity } from '../../src/commands/domain/recent-events.ts'
import type { CommandBus, EventLog, StateReader } from '../../src/commands/index.ts'
import {
  ConfabError,
  type ConversationRequest,
  decodeConversationEvent,
  type StoredEvent,
} from '../../src/events/index.ts'
import type { Wish } from './given.ts'

/** One step of a client; each step waits for the final answer of the previous one. */
export interface Step {
  readonly from: string
  readonly c: string
  readonly wish: Wish
  /** The node that is asked first; the next node after each retryable error. */
  readonly node: number
}

export interface Outcome {
  readonly request: ConversationRequest
  readonly from: string
  readonly at: string
  readonly answer: { seq: number; at?: string; duplicate?: boolean } | undefined
  readonly refused: string | undefined
}

/** One node: its bus, and the states that it decides on. */
export interface BusNode {
  readonly bus: CommandBus
  readonly states: StateReader
}

let clock = Date.UTC(2026, 10, 24)

/** Repeats the same request at another node for as long as the error is retryable, like a client. */
const insist = async (
  nodes: () => readonly BusNode[],
  step: Step,
  request: ConversationRequest,
): Promise<Outcome> => {
  const { from } = step
  const at = new Date(clock++).toISOString()
  for (let tries = 0; ; tries++) {
    const all = nodes()
    try {
      const answer = (await all[(step.node + tries) % all.length]!.bus.execute(request, {
        from,
        at,
      })) as Outcome['answer']
      return { request, from, at, answer, refused: undefined }
    } catch (error) {
      if (!ConfabError.is(error)) throw error
      if (error.code === 'INTERNAL') throw error
      // A command keeps its time, so a refusal in slow mode is final.
      const isRefused = !error.toBody().retryable || error.code === 'RATE_LIMITED'
      if (isRefused) return { request, from, at, answer: undefined, refused: error.code }
    }
  }
}

/** Runs clients in parallel, each client's steps in sequence. Commands other than sends get a key of their own. */
export const runClients = async (
  nodes: () => readonly BusNode[],
  clients: readonly (readonly Step[])[],
): Promise<Outcome[]> => {
  const outcomes = await Promise.all(
    clients.map(async (steps, client) => {
      const own: Outcome[] = []
      for (const [i, step] of steps.entries()) {
        const { c, wish } = step
        const key = wish.t === 'send' ? {} : { key: `${client}-${i}` }
        own.push(await insist(nodes, step, { id: '1', c, ...key, ...wish } as ConversationRequest))
      }
      return own
    }),
  )
  return outcomes.flat()
}

export const readAll = async (log: EventLog, c: string): Promise<StoredEvent[]> => {
  const all: StoredEvent[] = []
  for await (const batch of log.read({ family: 'conv', id: c }, 0)) all.push(...batch)
  return all
}

/**
 * Compares the answers with the log: seq without gaps, every acknowledged command there once, at its answered seq.
 */
export const checkLog = async (
  t: Test,
  log: EventLog,
  conversations: readonly string[],
  outcomes: readonly Outcome[],
  nodes: readonly BusNode[],
): Promise<void> => {
  for (const c of conversations) {
    const stored = await readAll(log, c)
    const problems: string[] = []
    const state = replay(c, stored, problems)
    const acked = outcomes.filter(({ request, answer }) => request.c === c && answer !== undefined)
    const byCommand = new Map<string, StoredEvent[]>()
    for (const event of stored) {
      const { commandId } = event.envelope
      byCommand.set(commandId, [...(byCommand.get(commandId) ?? []), event])
    }
    for (const [id, events] of byCommand)
      if (events.length > 1) problems.push(`${id}: ${events.length} times`)
    for (const { request, from, answer } of acked) {
      const seq = answer!.seq
      if (seq < 1 || seq > stored.length) problems.push(`${request.t} acked at ${seq}`)
      if (request.t !== 'send') {
        const [event] = byCommand.get(`k.${c}.${from}.${'key' in request ? request.key : ''}`) ?? []
        if (event === undefined) checkUnchanged(c, stored, request, from, seq, problems)
        else if (event.envelope.seq !== seq)
          problems.push(`${request.t} acked at ${seq} is at ${event.envelope.seq}`)
        continue
      }
      const event = stored[seq - 1] && decodeConversationEvent(stored[seq - 1]!)
      if (
        event?.type !== 'message.posted' ||
        event.m !== request.m ||
        event.from !== from ||
        event.at !== answer!.at
      )
        problems.push(`${request.m} of ${from} acked at ${seq}: ${JSON.stringify(event)}`)
    }
    for (const node of nodes) {
      const view = await whenReachable(() => node.states.currentConversation(c))
      if (view?.head !== (state.seq || undefined)) problems.push(`a node has head ${view?.head}`)
      const members = view === undefined ? [] : [...view.members()]
      if (members.join() !== [...state.members.keys()].join()) problems.push(`a node has members ${members}`)
    }
    t.strictSame(problems, [], `${c}: ${stored.length} events, ${acked.length} acked`)
  }
}

/** A command that was acknowledged without an event: at the event of its answer it changed nothing. */
const checkUnchanged = (
  c: string,
  stored: readonly StoredEvent[],
  request: ConversationRequest,
  from: string,
  seq: number,
  problems: string[],
): void => {
  const state = replay(c, stored.slice(0, seq), [])
  const messages = stored.slice(0, seq).map(decodeConversationEvent)
  const posted =
    'm' in request && messages.find(event => event.type === 'message.posted' && event.m === request.m)
  const message = posted && {
    m: request.m,
    seq: posted.seq,
    from: posted.from,
    at: posted.at,
    deleted: false,
  }
  const found = message ? { found: { m: message.m, upTo: seq, message } } : {}
  const decision = decideConversation(state, {
    request,
    from,
    at: '',
    id: '',
    consent: () => 'add',
    ...found,
  })
  // The state may have forgotten an old deletion or reaction that it still knew then.
  if (!('unchanged' in decision) && (state.seq <= recentCapacity || !('m' in request)))
    problems.push(`${JSON.stringify(request)} of ${from} acked at ${seq} is not there`)
}

/** Retries while a cut connection is being restored. */
const whenReachable = async <T>(ask: () => Promise<T>): Promise<T> => {
  for (;;)
    try {
      return await ask()
    } catch (error) {
      if (!ConfabError.is(error) || error.code !== 'UNAVAILABLE') throw error
      await new Promise(resolve => setTimeout(resolve, 20))
    }
}

const replay = (c: string, stored: readonly StoredEvent[], problems: string[]): ConversationState => {
  const state = emptyConversation(c)
  const messages = new Set<string>()
  for (const [i, { stream, streamSeq, envelope, ...rest }] of stored.entries()) {
    const event = decodeConversationEvent({ stream, streamSeq, envelope, ...rest })
    if (event.seq !== i + 1 || envelope.seq !== i + 1) {
      problems.push(`event ${i + 1} says ${event.seq}`)
      return state
    }
    if (event.type === 'message.posted') {
      if (event.n !== messages.size + 1) problems.push(`message ${messages.size + 1} says ${event.n}`)
      if (messages.has(event.m)) problems.push(`${event.m} is there twice`)
      messages.add(event.m)
    }
    evolveConversation(state, event, { stream, streamSeq, commandId: envelope.commandId })
    if (envelope.n !== state.n) problems.push(`event ${event.seq} has n ${envelope.n}`)
    if (state.members.size > 0 && ![...state.members.values()].includes('owner'))
      problems.push(`no owner after ${event.seq}`)
  }
  return state
}
