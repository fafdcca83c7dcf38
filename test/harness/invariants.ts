import { isDeepStrictEqual } from 'node:util'
import type { Outsider, SeenEvent } from './outsider.ts'

/** A command that was acknowledged, with the answered seq. */
export interface Acked {
  c: string
  seq: number
  m: string
  from: string
  text: string
}

/** The assertions of a test, or of a program without one. */
export interface Asserts {
  same(actual: unknown, expected: unknown, message: string): unknown
  equal(actual: unknown, expected: unknown, message: string): unknown
  ok(value: unknown, message: string): unknown
}

/** Invariant 1: acknowledged messages are in the log exactly once, at the answered seq. */
export const ackedAreStored = (t: Asserts, log: Map<string, SeenEvent[]>, acked: readonly Acked[]): void => {
  const wrong: string[] = []
  const times = new Map<string, number>()
  for (const [c, events] of log)
    for (const event of events)
      if (event.type === 'message.posted')
        times.set(`${c} ${event.m}`, (times.get(`${c} ${event.m}`) ?? 0) + 1)
  for (const { c, seq, m, from, text } of acked) {
    const event = log.get(c)?.[seq - 1]
    if (event?.seq !== seq || event.m !== m || event.from !== from || event.text !== text)
      wrong.push(`${c} ${seq}: acked ${m}, found ${JSON.stringify(event)}`)
    if (times.get(`${c} ${m}`) !== 1)
      wrong.push(`${c} ${m} is in the log ${times.get(`${c} ${m}`) ?? 0} times`)
  }
  t.same(wrong, [], `${acked.length} acknowledged messages are in the log once, at the answered seq`)
  const twice = [...times].filter(([, count]) => count !== 1)
  t.same(twice, [], 'no message is in the log twice')
}

/** Invariant 2: seq is 1, 2, 3 … in every conversation, and n counts its messages. */
export const seqsAreGapless = (t: Asserts, log: Map<string, SeenEvent[]>): void => {
  const wrong: string[] = []
  for (const [c, events] of log) {
    let n = 0
    for (const [index, event] of events.entries()) {
      if (event.seq !== index + 1) wrong.push(`${c}: event ${index + 1} has seq ${event.seq}`)
      if (event.type === 'message.posted' && event.n !== ++n)
        wrong.push(`${c} ${event.seq}: n ${event.n}, not ${n}`)
    }
  }
  t.same(wrong, [], `seq and n are gapless in ${log.size} conversations`)
}

/**
 * Returns the forms in which a client may receive an event of the log: as it is, or, when it was read later, with the
 * content that its message had then.
 */
const formsOf = (event: SeenEvent, log: readonly SeenEvent[]): object[] => {
  const { type, m } = event
  if (type !== 'message.posted' && type !== 'message.edited') return [event]
  const forms: object[] = [event]
  for (const later of log.slice(event.seq)) {
    if (later.m !== m) continue
    if (later.type === 'message.edited')
      forms.push({ ...event, text: later.text, ...(type === 'message.posted' ? { editedAt: later.at } : {}) })
    if (later.type === 'message.deleted') {
      const { replyTo: _replyTo, attachments: _attachments, ...kept } = event
      forms.push({ ...kept, text: '', deleted: true })
    }
  }
  return forms
}

/** Invariant 3: a client applied the log's events in order, from its first one on. */
export const clientsSawTheLog = (
  t: Asserts,
  log: Map<string, SeenEvent[]>,
  clients: readonly Outsider[],
): void => {
  for (const client of clients) {
    t.same(client.breaches, [], `${client.user} noticed no breach of the protocol`)
    for (const [c, seen] of client.seen) {
      const first = seen[0]?.seq ?? 1
      const events = log.get(c) ?? []
      const expected = events
        .slice(first - 1, first - 1 + seen.length)
        .map((event, i) => formsOf(event, events).find(form => isDeepStrictEqual(form, seen[i])) ?? event)
      t.same(seen, expected, `${client.user} applied ${c} as the log has it`)
    }
  }
}

/** Returns the members after each event, computed from the log alone. */
export const membersAfter = (events: readonly SeenEvent[]): Set<string>[] => {
  const states: Set<string>[] = []
  for (const [{ type }, members] of withMembers(events))
    states.push(membershipTypes.has(type as string) ? new Set(members) : (states.at(-1) ?? new Set()))
  return states
}

const membershipTypes = new Set(['conversation.created', 'member.joined', 'member.left', 'member.banned'])

/** Yields the events with the members after each: one set, which keeps changing. */
export function* withMembers(
  events: Iterable<SeenEvent>,
): Generator<readonly [SeenEvent, ReadonlySet<string>]> {
  const members = new Set<string>()
  for (const event of events) {
    if (event.type === 'conversation.created')
      for (const { user } of event.members as { user: string }[]) members.add(user)
    if (event.type === 'member.joined') members.add(event.user as string)
    if (event.type === 'member.left' || event.type === 'member.banned') members.delete(event.user as string)
    yield [event, members]
  }
}

/**
 * Invariant 5: no user applied an event after the end of the last membership; the user's own removal is the last one.
 * Members may read earlier events.
 */
export const onlyMembersSaw = (
  t: Asserts,
  log: Map<string, SeenEvent[]>,
  clients: readonly Outsider[],
): void => {
  const wrong: string[] = []
  for (const [c, events] of log) {
    const states = membersAfter(events)
    for (const client of clients) {
      const end = states.findLastIndex(members => members.has(client.user)) + 2
      for (const { seq } of client.seen.get(c) ?? [])
        if (seq > end) wrong.push(`${client.user} saw ${c} ${seq}`)
    }
  }
  t.same(wrong, [], 'only members received events')
}
