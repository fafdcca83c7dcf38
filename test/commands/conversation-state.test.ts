import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import type { Consent } from '../../src/commands/domain/consent.ts'
import type { ConversationCommand } from '../../src/commands/domain/conversation-command.ts'
import {
  type ConversationState,
  emptyConversation,
  forkConversation,
} from '../../src/commands/domain/conversation-state.ts'
import { conversationType } from '../../src/commands/domain/conversation-type.ts'
import { decideConversation } from '../../src/commands/domain/decide-conversation.ts'
import type { MessageRef } from '../../src/commands/ports/message-lookup.ts'
import {
  type ConversationEvent,
  decodeConversationEvent,
  encodeBody,
  type StoredEvent,
} from '../../src/events/index.ts'
import { arbitraryCreate, arbitraryUser, arbitraryWish } from './arbitrary-commands.ts'
import { c, command, evolve } from './given.ts'

/** Some users have to consent. */
const consent = (user: string): Consent => (user === 'dave' || user === 'eve' ? 'invite' : 'add')

interface Recorded {
  readonly event: ConversationEvent
  readonly commandId: string
}

/** Runs commands one after another; look-ups use the recorded history. */
const runAll = (
  state: ConversationState,
  commands: readonly ConversationCommand[],
  log: Recorded[],
): void => {
  for (const given of commands) {
    let decision = decideConversation(state, given)
    if ('lacks' in decision) {
      const { lacks: m, upTo } = decision
      decision = decideConversation(state, { ...given, found: { m, upTo, message: find(log, m, upTo) } })
    }
    if (!('event' in decision)) continue
    const { event } = decision
    log.push({ event, commandId: given.id })
    evolve(state, event, given.id)
  }
}

const find = (log: readonly Recorded[], m: string, upTo: number): MessageRef | undefined => {
  let message: MessageRef | undefined
  for (const { event } of log) {
    if (event.seq > upTo || !('m' in event) || event.m !== m) continue
    if (event.type === 'message.posted') {
      const { seq, from, at } = event
      message = { m, seq, from, at, deleted: false }
    } else if (event.type === 'message.deleted' && message !== undefined)
      message = { ...message, deleted: true }
  }
  return message
}

const serial = (state: ConversationState): string => Buffer.from(conversationType.serialise(state)).toString()

/** A state without the length of its memory: a fork remembers further back. */
const known = (state: ConversationState): string => {
  const {
    recent: _recent,
    capacity: _capacity,
    ...rest
  } = JSON.parse(serial(state)) as Record<string, unknown>
  return JSON.stringify(rest)
}

const replay = (log: readonly Recorded[]): ConversationState => {
  const state = emptyConversation(c)
  for (const { event, commandId } of log) evolve(state, event, commandId)
  return state
}

const history = fc
  .record({
    creator: arbitraryUser,
    create: arbitraryCreate,
    rest: fc.array(fc.tuple(arbitraryUser, arbitraryWish), { minLength: 20, maxLength: 400, size: 'max' }),
  })
  .map(({ creator, create, rest }) => [
    command(creator, create, { consent }),
    ...rest.map(([from, wish]) => command(from, wish, { consent })),
  ])

const property = (check: (commands: ConversationCommand[]) => void): void =>
  fc.assert(fc.property(history, check), { numRuns: 150 })

t.test('for any commands: seq has no gap, messages are counted, roles and sizes are valid', async t => {
  property(commands => {
    const log: Recorded[] = []
    const state = emptyConversation(c)
    let posted = 0
    for (const one of commands) {
      runAll(state, [one], log)
      const { event } = log.at(-1) ?? {}
      if (event === undefined) continue
      if (event.seq !== log.length || state.seq !== log.length) throw new Error(`gap at ${event.seq}`)
      if (event.type === 'message.posted' && event.seq > posted + state.seq) throw new Error('n')
      posted = log.filter(({ event }) => event.type === 'message.posted').length
      if (state.n !== posted) throw new Error(`n is ${state.n}, not ${posted}`)
      if (state.kind === 'direct' && state.members.size !== 2) throw new Error('direct')
      const owners = [...state.members.values()].filter(role => role === 'owner').length
      if (state.members.size > 0 && owners === 0) throw new Error('no owner')
    }
    const ids = log.flatMap(({ event }) => (event.type === 'message.posted' ? [event.m] : []))
    if (new Set(ids).size !== ids.length) throw new Error('a message twice')
  })
  t.pass()
})

t.test('every event matches its schema', async t => {
  property(commands => {
    const log: Recorded[] = []
    runAll(emptyConversation(c), commands, log)
    for (const { event, commandId } of log) {
      const { type, seq, from } = event
      const stored: StoredEvent = {
        stream: 'CONV_0',
        streamSeq: seq,
        aggregate: { family: 'conv', id: c },
        envelope: { type, version: 1, seq, n: 0, actor: from, commandId, epoch: 1 },
        data: encodeBody(event),
      }
      // Not `t.strictSame`: data may have a key `constructor`.
      t.ok(isDeepStrictEqual(decodeConversationEvent(stored), event), JSON.stringify(event))
    }
  })
})

t.test('evolving by the events gives the state that decided them', async t => {
  property(commands => {
    const log: Recorded[] = []
    const state = emptyConversation(c)
    runAll(state, commands, log)
    if (serial(replay(log)) !== serial(state)) throw new Error('another state')
  })
  t.pass()
})

t.test('a snapshot plus later events equals the whole history, and decides the same', async t => {
  fc.assert(
    fc.property(
      history,
      fc.nat({ max: 400 }),
      fc.tuple(arbitraryUser, arbitraryWish),
      (commands, at, [from, wish]) => {
        const log: Recorded[] = []
        const state = emptyConversation(c)
        runAll(state, commands, log)
        const cut = Math.min(at, log.length)
        const early = replay(log.slice(0, cut))
        const restored = conversationType.deserialise(
          c,
          conversationType.serialise(early),
          conversationType.snapshotVersion,
        )
        for (const { event, commandId } of log.slice(cut)) evolve(restored, event, commandId)
        if (serial(restored) !== serial(state)) throw new Error('another state')
        const next = command(from, wish, { consent })
        t.strictSame(decideConversation(restored, next), decideConversation(state, next))
      },
    ),
    { numRuns: 150 },
  )
})

t.test('changes of a fork leave the original unchanged', async t => {
  fc.assert(
    fc.property(
      history,
      fc.array(fc.tuple(arbitraryUser, arbitraryWish), { maxLength: 200 }),
      (commands, more) => {
        const log: Recorded[] = []
        const state = emptyConversation(c)
        runAll(state, commands, log)
        const before = serial(state)
        const messages = JSON.stringify([...state.recent.messages])
        const fork = forkConversation(state, 200)
        const forked = log.slice()
        runAll(
          fork,
          more.map(([from, wish]) => command(from, wish, { consent })),
          forked,
        )
        if (serial(state) !== before || JSON.stringify([...state.recent.messages]) !== messages)
          throw new Error('the original changed')
        if (known(fork) !== known(replay(forked))) throw new Error('the fork is not what it took in')
      },
    ),
    { numRuns: 100 },
  )
  t.pass()
})

t.test('a command with an event produces none when repeated', async t => {
  property(commands => {
    const log: Recorded[] = []
    const state = emptyConversation(c)
    runAll(state, commands, log)
    const made = new Set(log.map(({ commandId }) => commandId))
    const oldest = log.at(-128)?.event.seq ?? 1
    const recent = new Set(log.slice(oldest - 1).map(({ commandId }) => commandId))
    const again = commands.filter(
      ({ id, request }) => made.has(id) && (recent.has(id) || request.t === 'send' || request.t === 'create'),
    )
    for (const one of again) {
      const length = log.length
      const fork = forkConversation(state, 200)
      runAll(fork, [one], log)
      if (log.length !== length) throw new Error(`again: ${JSON.stringify(one)}`)
    }
  })
  t.pass()
})

t.test('only the next event is accepted', async t => {
  const state = emptyConversation(c)
  const event: ConversationEvent = {
    t: 'event',
    c,
    seq: 2,
    type: 'message.deleted',
    m: 'm1',
    from: 'alice',
    at: '2026-11-24T02:30:43.123Z',
  }
  t.throws(() => evolve(state, event, 'x'), RangeError)
})
