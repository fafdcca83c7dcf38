import { v7 as uuidv7 } from 'uuid'
import type { NewEvent } from '../../src/commands/index.ts'
import {
  type ConversationCreated,
  type ConversationEvent,
  type Envelope,
  encodeBody,
  encodeEnvelope,
  type MessagePosted,
  subjectOf,
} from '../../src/events/index.ts'
import type { RawSubject } from '../limits/raw-append.ts'
import { makeText, seededRandom } from './texts.ts'

const at = '2026-11-24T02:30:43.123Z'

const newEvent = (event: ConversationEvent, n: number, commandId: string): NewEvent => ({
  envelope: { type: event.type, version: 1, seq: event.seq, n, actor: event.from, commandId, epoch: 1 },
  data: encodeBody(event),
})

/** Returns the first event of a conversation. The first member is its owner. */
export const createdEvent = (c: string, members: readonly string[]): NewEvent => {
  const [owner = 'nobody'] = members
  const body: ConversationCreated = {
    t: 'event',
    c,
    seq: 1,
    type: 'conversation.created',
    from: owner,
    at,
    kind: 'group',
    title: c,
    members: members.map(user => ({ user, role: user === owner ? 'owner' : 'member' })),
  }
  return newEvent(body, 0, `create.${c}`)
}

/** Returns a message as a decider produces it: the `n`th of its conversation, at `seq`. */
export const messageEvent = (c: string, seq: number, n: number, from: string, text: string): NewEvent => {
  const m = `01940000-0000-7000-8000-${String(n).padStart(12, '0')}`
  const body: MessagePosted = { t: 'event', c, seq, type: 'message.posted', from, at, m, n, text }
  return newEvent(body, n, `m.${c}.${from}.${m}`)
}

/** Returns the headers of an event as text, without message id and expectation. */
const headerLines = (envelope: Envelope): string =>
  encodeEnvelope(envelope)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')

/** Returns a conversation's first events as messages for raw publishing. */
export const asRaw = (c: string, events: readonly NewEvent[]): RawSubject => ({
  name: subjectOf({ family: 'conv', id: c }),
  messages: events.map(({ data, envelope }) => ({
    body: data,
    id: envelope.commandId,
    headers: headerLines(envelope),
  })),
})

/** The marks that a user sets in a conversation, delivered and read in turn, as messages that are published raw. */
export const asRawMarks = (user: string, c: string, count: number): RawSubject => ({
  name: subjectOf({ family: 'user', id: user }),
  messages: Array.from({ length: count }, (_, index) => {
    const seq = index + 1
    const type = index % 2 === 0 ? 'delivered.marked' : 'read.marked'
    const commandId = uuidv7()
    const body = { u: user, seq, type, at, c, mark: seq } as const
    const envelope = { type, version: 1, seq, n: 0, actor: user, commandId, epoch: 1 }
    return { body: encodeBody(body), id: commandId, headers: headerLines(envelope) }
  }),
})

/**
 * Creates groups of `members` with `messages` divided among them and sent by all members in turn: the data for views
 * and replays.
 */
export const makeGroups = (groups: number, members: number, messages: number): RawSubject[] => {
  const random = seededRandom(1)
  return Array.from({ length: groups }, (_, group) => {
    const c = `group-${group}`
    const users = Array.from({ length: members }, (_, n) => `user-${(group * 7 + n) % 2000}`)
    const posted = Array.from({ length: messages / groups }, (_, n) =>
      messageEvent(c, n + 2, n + 1, users[n % members]!, makeText(random)),
    )
    return asRaw(c, [createdEvent(c, users), ...posted])
  })
}
