import fc from 'fast-check'
import t from 'tap'
import {
  type ConversationEvent,
  decodeConversationEvent,
  decodeUserEvent,
  type InvitationsFor,
  type StoredEvent,
  type UserEvent,
} from '../../src/events/index.ts'
import { MemoryEventLog } from '../../src/infra/memory/index.ts'
import { type Asked, type Node, setUp } from './one-node.ts'

const people = ['ann', 'bob', 'cyd', 'dan'] as const
type Person = (typeof people)[number]
const places = ['group', 'channel'] as const

/** An action of a user. `node`: the node that decides. */
type Step = { readonly node: number; readonly from: Person } & (
  | { readonly t: 'create'; readonly c: string; readonly users: readonly Person[] }
  | { readonly t: 'invite' | 'remove' | 'ban' | 'unban'; readonly c: string; readonly user: Person }
  | { readonly t: 'accept' | 'decline' | 'leave' | 'join' | 'send' | 'rename'; readonly c: string }
  | { readonly t: 'settings' | 'edit' | 'react'; readonly c: string }
  | { readonly t: 'block'; readonly user: Person; readonly on: boolean }
  | { readonly t: 'setting'; readonly to: InvitationsFor }
  | { readonly t: 'write'; readonly user: Person }
  | { readonly t: 'admin'; readonly c: string; readonly user: Person }
)

const person = fc.constantFrom(...people)
/** Often the owner. */
const manager = fc.constantFrom('ann', 'ann', 'ann', ...people)
const c = fc.constantFrom(...places)
const of = <T extends string, R extends Record<string, fc.Arbitrary<unknown>>>(
  types: readonly T[],
  fields: R,
) => fc.record({ t: fc.constantFrom(...types), node: fc.nat({ max: 1 }), from: person, ...fields })

const step = fc.oneof(
  { weight: 1, arbitrary: of(['create'], { c, users: fc.uniqueArray(person, { maxLength: 3 }) }) },
  { weight: 6, arbitrary: of(['invite'], { from: manager, c, user: person }) },
  { weight: 3, arbitrary: of(['remove', 'ban', 'unban', 'admin'], { from: manager, c, user: person }) },
  { weight: 4, arbitrary: of(['accept', 'decline'], { c }) },
  { weight: 5, arbitrary: of(['leave', 'join', 'send'], { c }) },
  { weight: 4, arbitrary: of(['send', 'rename', 'settings', 'edit', 'react'], { from: manager, c }) },
  { weight: 3, arbitrary: of(['block'], { user: person, on: fc.boolean() }) },
  { weight: 3, arbitrary: of(['setting'], { to: fc.constantFrom('everybody', 'contacts', 'nobody') }) },
  { weight: 1, arbitrary: of(['write'], { user: person }) },
) as fc.Arbitrary<Step>

/** `messages`: the ids of the messages in the conversation, and those of the user. */
const requestOf = (one: Step, nth: number, messages: Record<'all' | 'own', readonly string[]>): Asked => {
  switch (one.t) {
    case 'create': {
      const kind = one.c === 'group' ? 'group' : 'channel'
      return { t: 'create', c: one.c, kind, members: [...one.users] }
    }
    case 'invite':
    case 'remove':
    case 'ban':
    case 'unban':
      return { t: one.t, c: one.c, user: one.user }
    case 'admin':
      return { t: 'role', c: one.c, user: one.user, role: 'admin' }
    case 'send':
      return { t: 'send', c: one.c, m: `m${nth}`, text: 'x' }
    case 'rename':
      return { t: 'rename', c: one.c, title: `x${nth}` }
    case 'settings':
      return { t: 'settings', c: one.c, data: { nth } }
    case 'edit':
      return { t: 'edit', c: one.c, m: messages.own.at(-1) ?? 'none', text: `x${nth}` }
    case 'react':
      return { t: 'react', c: one.c, m: messages.all.at(-1) ?? 'none', emoji: '👍', on: nth % 3 > 0 }
    case 'block':
      return { t: 'block', user: one.user, on: one.on }
    case 'setting':
      return { t: 'privacy', invitations: one.to }
    case 'write':
      return { t: 'direct', user: one.user }
    default:
      return { t: one.t, c: one.c }
  }
}

const isOfUser = (event: ConversationEvent | UserEvent): event is UserEvent => 'u' in event

/** All events, in the order in which they were stored. */
class History {
  readonly #log: MemoryEventLog
  readonly events: (ConversationEvent | UserEvent)[] = []
  readonly #read = { CONV_0: 0, USER_0: 0 }

  constructor(log: MemoryEventLog) {
    this.#log = log
  }

  /** Reads the events that one command has stored. */
  next(): (ConversationEvent | UserEvent)[] {
    const stored = (stream: 'CONV_0' | 'USER_0'): StoredEvent[] => {
      const all = this.#log.stream(stream)
      const rest = all.slice(this.#read[stream])
      this.#read[stream] = all.length
      return rest
    }
    const added = [
      ...stored('CONV_0').map(decodeConversationEvent),
      ...stored('USER_0').map(one => decodeUserEvent(one)),
    ]
    this.events.push(...added)
    return added
  }
}

/** The rules, applied literally to the whole history before an event. */
class Rules {
  readonly #events: readonly (ConversationEvent | UserEvent)[]

  constructor(events: readonly (ConversationEvent | UserEvent)[]) {
    this.#events = events
  }

  #ofUser(user: string): UserEvent[] {
    return this.#events.filter(isOfUser).filter(({ u }) => u === user)
  }

  setting(user: string): InvitationsFor {
    const last = this.#ofUser(user).findLast(event => event.type === 'privacy.changed')
    return last?.type === 'privacy.changed' ? (last.invitations ?? 'everybody') : 'everybody'
  }

  hasBlocked(user: string, other: string): boolean {
    const last = this.#ofUser(user).findLast(
      event => (event.type === 'user.blocked' || event.type === 'user.unblocked') && event.user === other,
    )
    return last?.type === 'user.blocked'
  }

  /** Whether a user has written to another one alone. */
  hasWrittenTo(user: string, other: string): boolean {
    return this.#events.some(
      event =>
        event.type === 'conversation.created' &&
        event.kind === 'direct' &&
        [user, other].every(one => event.members.some(member => member.user === one)) &&
        this.#events.some(one => one.type === 'message.posted' && one.c === event.c && one.from === user),
    )
  }

  /** Returns where the events leave a user of a conversation. */
  standing(where: string, user: string): 'member' | 'invited' | 'departed' | 'out' {
    let standing: 'member' | 'invited' | 'departed' | 'out' = 'out'
    let hasDeparted = false
    const follows = (on: boolean, isOwn: boolean): void => {
      if (on) hasDeparted = false
      else if (isOwn) hasDeparted = true
      standing = on ? 'member' : hasDeparted ? 'departed' : 'out'
    }
    for (const event of this.#events) {
      if (event.type === 'channel.followed' && event.c === where && event.u === user) follows(true, true)
      if (event.type === 'channel.unfollowed' && event.c === where && event.u === user)
        follows(false, event.by === user)
      if (isOfUser(event) || event.c !== where) continue
      if (event.type === 'conversation.created') {
        if (event.members.some(member => member.user === user)) standing = 'member'
        if (event.invited?.includes(user) === true) standing = 'invited'
      }
      if (!('user' in event) || event.user !== user) continue
      if (event.type === 'member.joined') follows(true, true)
      if (event.type === 'member.left') follows(false, event.from === user)
      if (event.type === 'member.banned') standing = hasDeparted ? 'departed' : 'out'
      if (event.type === 'member.invited') standing = 'invited'
      if (event.type === 'member.uninvited' && event.accepted !== true) follows(false, event.from === user)
    }
    return standing
  }

  hasDeparted(where: string, user: string): boolean {
    const own = this.#events.findLast(
      event =>
        (event.type === 'member.left' && event.c === where && event.user === user && event.from === user) ||
        (event.type === 'member.uninvited' &&
          event.c === where &&
          event.user === user &&
          event.from === user &&
          event.accepted !== true) ||
        (event.type === 'channel.unfollowed' && event.c === where && event.u === user && event.by === user),
    )
    const joined = this.#events.findLast(
      event =>
        (event.type === 'member.joined' && event.c === where && event.user === user) ||
        (event.type === 'channel.followed' && event.c === where && event.u === user),
    )
    const at = (event: ConversationEvent | UserEvent | undefined): number =>
      event === undefined ? -1 : this.#events.indexOf(event)
    return at(own) > at(joined)
  }

  /** Whether `by` may add a user who is not asked. */
  mayAdd(where: string, user: string, by: string): boolean {
    if (this.hasBlocked(user, by) || this.hasBlocked(by, user) || this.hasDeparted(where, user)) return false
    const setting = this.setting(user)
    return setting === 'everybody' || (setting === 'contacts' && this.hasWrittenTo(user, by))
  }

  mayInvite(user: string, by: string): boolean {
    return this.setting(user) !== 'nobody' && !this.hasBlocked(user, by) && !this.hasBlocked(by, user)
  }

  /** Returns the ids of the messages in a conversation, and those of a user. */
  messages(where: string, user: string): Record<'all' | 'own', string[]> {
    const posted = this.#events
      .filter(event => event.type === 'message.posted')
      .filter(event => event.c === where)
    const idsOf = (events: readonly { readonly m: string }[]) => events.map(({ m }) => m)
    return { all: idsOf(posted), own: idsOf(posted.filter(event => event.from === user)) }
  }

  membersOf(where: string): Person[] {
    return people.filter(user => this.standing(where, user) === 'member')
  }
}

/** Whether a member sends the others something by an event: a text, an emoji, or the id of a user that is no member. */
const isMessageTo = (event: ConversationEvent, members: readonly string[]): boolean => {
  switch (event.type) {
    case 'message.posted':
    case 'message.edited':
    case 'reaction.added':
    case 'reaction.removed':
    case 'conversation.renamed':
    case 'conversation.settings_changed':
      return members.includes(event.from)
    case 'member.joined':
    case 'member.invited':
    case 'member.uninvited':
    case 'member.banned':
    case 'member.unbanned':
      return members.includes(event.from) && !members.includes(event.user)
    default:
      return false
  }
}

/** Checks an event against the rules before it. `from`: the sender of the command. */
const check = (
  event: ConversationEvent | UserEvent,
  before: Rules,
  from: string,
  channelMembers = 1_000,
): void => {
  const fail = (why: string): never => {
    throw new Error(`${why}: ${JSON.stringify(event)}`)
  }
  const added = (where: string, user: string): void => {
    if (user === from) {
      const isInvited = before.standing(where, user) === 'invited'
      if (!isInvited && where !== 'channel') fail('a user joined without an invitation')
    } else if (!before.mayAdd(where, user, from)) fail('a user was added without consent')
  }
  if (event.type === 'channel.followed') added(event.c, event.u)
  if (isOfUser(event) || !places.some(place => place === event.c)) return
  if (event.type === 'conversation.created')
    for (const { user } of event.members) if (user !== from) added(event.c, user)
  const invited =
    event.type === 'member.invited'
      ? [event.user]
      : event.type === 'conversation.created'
        ? (event.invited ?? [])
        : []
  for (const user of invited) {
    if (!before.mayInvite(user, from)) fail('a user was invited who refuses')
    if (before.mayAdd(event.c, user, from)) fail('a user was invited who need not be asked')
  }
  if (event.type === 'member.joined') added(event.c, event.user)
  if (event.from === from && isMessageTo(event, before.membersOf(event.c))) {
    const [one, two, ...others] = before.membersOf(event.c)
    // The full log of a channel does not say whether there are followers.
    const mayBeMore = event.c === 'channel' && channelMembers === 2
    const isPair = one !== undefined && two !== undefined && others.length === 0 && !mayBeMore
    if (isPair && (before.hasBlocked(one, two) || before.hasBlocked(two, one))) fail('a block was evaded')
  }
}

const settled = (): Promise<void> => new Promise(resolve => setTimeout(resolve, 2))

/** Returns the step, of a user who is invited if it answers an invitation and there is one. */
const byInvited = (one: Step, before: Rules): Step => {
  if (one.t !== 'accept' && one.t !== 'decline') return one
  const from = people.find(user => before.standing(one.c, user) === 'invited')
  return from === undefined ? one : { ...one, from }
}

const run = async (steps: readonly Step[], channelMembers: number): Promise<History> => {
  const log = new MemoryEventLog()
  const limits = { channelMembers }
  const nodes: readonly Node[] = [await setUp({ log, limits }), await setUp({ log, limits })]
  const history = new History(log)
  for (const [nth, given] of steps.entries()) {
    const before = new Rules([...history.events])
    const one = byInvited(given, before)
    // A block acts on a conversation when the other node has received it.
    if ('c' in one && one.t !== 'create') await settled()
    const node = nodes[one.node]!
    const messages = 'c' in one ? before.messages(one.c, one.from) : { all: [], own: [] }
    const answer = await node.as(one.from, requestOf(one, nth, messages)).catch(() => undefined)
    if (one.t === 'write' && answer !== undefined) {
      const { c } = answer as { c: string }
      await node.as(one.from, { t: 'send', c, m: `w${nth}`, text: 'x' }).catch(() => {})
    }
    for (const event of history.next()) check(event, before, one.from, channelMembers)
  }
  return history
}

/** A history in which each type of event occurs: a random one may lack some. */
const allTypes: Step[] = [
  { node: 0, from: 'cyd', t: 'setting', to: 'contacts' },
  { node: 1, from: 'ann', t: 'invite', c: 'group', user: 'cyd' },
  { node: 0, from: 'cyd', t: 'decline', c: 'group' },
  { node: 0, from: 'ann', t: 'send', c: 'group' },
  { node: 1, from: 'ann', t: 'edit', c: 'group' },
  { node: 0, from: 'bob', t: 'react', c: 'group' },
  { node: 1, from: 'ann', t: 'settings', c: 'group' },
  { node: 0, from: 'ann', t: 'ban', c: 'group', user: 'dan' },
  { node: 1, from: 'ann', t: 'unban', c: 'group', user: 'dan' },
  { node: 0, from: 'ann', t: 'invite', c: 'group', user: 'dan' },
  { node: 0, from: 'cyd', t: 'join', c: 'channel' },
  { node: 1, from: 'dan', t: 'join', c: 'channel' },
  { node: 1, from: 'bob', t: 'block', user: 'ann', on: true },
]

t.test('no user becomes a member against the own setting, and no block is evaded: any history', async t => {
  const met = new Set<string>()
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 10, maxLength: 40, size: 'max' }),
      fc.constantFrom(2, 1_000),
      async (steps, channelMembers) => {
        const creations: Step[] = places.map(place => ({
          t: 'create',
          node: 0,
          from: 'ann',
          c: place,
          users: place === 'group' ? ['bob'] : [],
        }))
        const { events } = await run([...creations, ...steps], channelMembers)
        for (const { type } of events) met.add(type)
      },
    ),
    { numRuns: 100, examples: [[allTypes, 2]] },
  )
  for (const type of [
    'member.invited',
    'member.uninvited',
    'member.joined',
    'channel.followed',
    'user.blocked',
    'message.edited',
    'reaction.added',
    'conversation.settings_changed',
    'member.banned',
    'member.unbanned',
  ])
    t.ok(met.has(type), `the histories have ${type}`)
})

t.test('the model has teeth: it rejects what the rules forbid', async t => {
  const at = '2026-11-24T02:30:43.123Z'
  const joined = {
    t: 'event',
    c: 'group',
    seq: 2,
    type: 'member.joined',
    from: 'ann',
    at,
    user: 'bob',
    role: 'member',
  } as const
  const setting = (invitations: InvitationsFor): UserEvent => ({
    u: 'bob',
    seq: 1,
    type: 'privacy.changed',
    at,
    lastSeen: 'contacts',
    invitations,
  })
  check(joined, new Rules([]), 'ann')
  for (const refused of ['contacts', 'nobody'] as const)
    t.throws(() => check(joined, new Rules([setting(refused)]), 'ann'), /without consent/)
  const blocked: UserEvent = { u: 'bob', seq: 1, type: 'user.blocked', at, user: 'ann' }
  t.throws(() => check(joined, new Rules([blocked]), 'ann'), /without consent/)
  const left = { ...joined, type: 'member.left', from: 'bob' } as const
  t.throws(() => check(joined, new Rules([joined, left]), 'ann'), /without consent/)
  check(joined, new Rules([joined, { ...left, from: 'ann' }]), 'ann')
  const posted = { ...joined, type: 'message.posted', m: 'm', n: 1, text: 'x' } as const
  const mine = { ...joined, user: 'ann' } as const
  t.throws(() => check(posted, new Rules([mine, joined, blocked]), 'ann'), /evaded/)
  const banned = { ...joined, type: 'member.banned', user: 'cyd' } as const
  t.throws(() => check(banned, new Rules([mine, joined, blocked]), 'ann'), /evaded/)
  check({ ...banned, user: 'bob' }, new Rules([mine, joined, blocked]), 'ann')
})
