import t from 'tap'
import {
  type ConversationEvent,
  currentVersion,
  decodeBody,
  decodeConversationEvent,
  decodeUserEvent,
  encodeBody,
  type StoredEvent,
  UnreadableEventError,
  type Upcasters,
  type UserEvent,
  upcast,
  wireBytes,
} from '../../src/events/index.ts'

const at = '2026-11-24T02:30:43.123Z'

const examples: (ConversationEvent | UserEvent)[] = [
  {
    t: 'event',
    c: 'c1',
    seq: 1,
    type: 'conversation.created',
    from: 'alice',
    at,
    kind: 'group',
    title: 'Tea',
    members: [{ user: 'alice', role: 'owner' }],
    data: { colour: 'green' },
  },
  { t: 'event', c: 'c1', seq: 2, type: 'conversation.renamed', from: 'alice', at, title: 'Täe' },
  { t: 'event', c: 'c1', seq: 3, type: 'member.joined', from: 'alice', at, user: 'bob', role: 'member' },
  { t: 'event', c: 'c1', seq: 4, type: 'member.left', from: 'bob', at, user: 'bob', successor: 'carol' },
  { t: 'event', c: 'c1', seq: 5, type: 'member.role_changed', from: 'alice', at, user: 'bob', role: 'admin' },
  {
    t: 'event',
    c: 'c1',
    seq: 6,
    type: 'message.posted',
    from: 'alice',
    at,
    m: 'm1',
    n: 1,
    text: '“tea”? \u0000 🫖',
    replyTo: 'm0',
    attachments: [{ mediaId: 'x', name: 'a.png', type: 'image/png', size: 3, sha256: 'a'.repeat(64) }],
    data: { '': [{ '\n': null }], at: '…' },
  },
  { t: 'event', c: 'c1', seq: 7, type: 'message.edited', from: 'alice', at, m: 'm1', text: '' },
  { t: 'event', c: 'c1', seq: 7, type: 'message.edited', from: 'alice', at, m: 'm1', text: '', data: null },
  {
    t: 'event',
    c: 'c1',
    seq: 7,
    type: 'message.edited',
    from: 'alice',
    at,
    m: 'm1',
    text: '',
    data: { a: 1 },
  },
  { t: 'event', c: 'c1', seq: 8, type: 'message.deleted', from: 'alice', at, m: 'm1', messageSeq: 6 },
  { t: 'event', c: 'c1', seq: 8, type: 'message.deleted', from: 'alice', at, m: 'm1' },
  { t: 'event', c: 'c1', seq: 9, type: 'reaction.added', from: 'alice', at, m: 'm1', emoji: '👍🏽' },
  { t: 'event', c: 'c1', seq: 10, type: 'reaction.removed', from: 'alice', at, m: 'm1', emoji: '👍🏽' },
  {
    t: 'event',
    c: 'c1',
    seq: 11,
    type: 'conversation.settings_changed',
    from: 'alice',
    at,
    posting: 'staff',
    slowModeSeconds: 30,
    data: null,
  },
  {
    t: 'event',
    c: 'c1',
    seq: 12,
    type: 'conversation.settings_changed',
    from: 'alice',
    at,
    posting: 'staff',
    slowModeSeconds: 30,
    archived: true,
  },
  { t: 'event', c: 'c1', seq: 13, type: 'member.banned', from: 'alice', at, user: 'mallory', until: at },
  { t: 'event', c: 'c1', seq: 14, type: 'member.banned', from: 'alice', at, user: 'mallory' },
  { t: 'event', c: 'c1', seq: 15, type: 'member.unbanned', from: 'alice', at, user: 'mallory' },
  { t: 'event', c: 'c1', seq: 16, type: 'member.invited', from: 'alice', at, user: 'erin' },
  { t: 'event', c: 'c1', seq: 17, type: 'member.uninvited', from: 'erin', at, user: 'erin' },
  { t: 'event', c: 'c1', seq: 18, type: 'member.uninvited', from: 'erin', at, user: 'erin', accepted: true },
  { t: 'event', c: 'c1', seq: 19, type: 'member.banned', from: 'alice', at, user: 'erin', invited: true },
  { u: 'alice', seq: 1, type: 'read.marked', at, c: 'c1', mark: 6 },
  { u: 'alice', seq: 2, type: 'delivered.marked', at, c: 'c1', mark: 7 },
  { u: 'alice', seq: 3, type: 'conversation.muted', at, c: 'c1' },
  { u: 'alice', seq: 4, type: 'conversation.unmuted', at, c: 'c1' },
  { u: 'alice', seq: 5, type: 'user.blocked', at, user: 'mallory' },
  { u: 'alice', seq: 6, type: 'user.unblocked', at, user: 'mallory' },
  { u: 'alice', seq: 7, type: 'privacy.changed', at, lastSeen: 'nobody' },
  { u: 'alice', seq: 7, type: 'profile.changed', at, data: { name: 'Alice' } },
  { u: 'alice', seq: 7, type: 'profile.changed', at, data: null },
  { u: 'alice', seq: 8, type: 'channel.followed', at, c: 'c1', head: 9, n: 2 },
  { u: 'alice', seq: 9, type: 'channel.unfollowed', at, c: 'c1', head: 9, by: 'bob' },
  { u: 'alice', seq: 11, type: 'conversation.hidden', at, c: 'c1', head: 9 },
  { u: 'alice', seq: 12, type: 'conversation.unhidden', at, c: 'c1' },
  { u: 'alice', seq: 10, type: 'direct.opened', at, peer: 'bob', c: 'c2', by: 'bob' },
]

const stored = (
  event: ConversationEvent | UserEvent,
  data = encodeBody(event),
  version = 1,
): StoredEvent => ({
  stream: 'CONV_0',
  streamSeq: 42,
  aggregate: 'u' in event ? { family: 'user', id: event.u } : { family: 'conv', id: event.c },
  envelope: { type: event.type, version, seq: event.seq, n: 0, actor: 'alice', commandId: 'x', epoch: 1 },
  data,
})

t.test('every type of event survives its body', async t => {
  for (const event of examples) {
    t.same(decodeBody(stored(event)), event, event.type)
    const decode = 'u' in event ? decodeUserEvent : decodeConversationEvent
    t.same(decode(stored(event)), event)
  }
})

t.test('the stored bytes are the wire form, byte for byte', async t => {
  const event = stored(examples[5]!)
  t.equal(wireBytes(event), event.data)
  for (const [type, version] of [
    ['message.pinned', 1],
    ['message.pinned', 2],
    [event.envelope.type, 99],
  ] as const) {
    const newer = { ...event, envelope: { ...event.envelope, type, version } }
    t.equal(wireBytes(newer), event.data, `${type} of version ${version}, as a newer build writes it`)
  }
})

t.test('a body that does not match its type is malformed', async t => {
  const bytes = (text: string) => new TextEncoder().encode(text)
  const posted = examples[5]!
  const cases: [string, StoredEvent][] = [
    ['no JSON', stored(posted, bytes('{'))],
    ['not UTF-8', stored(posted, Uint8Array.of(0x22, 0xff, 0x22))],
    ['another type’s body', stored(posted, encodeBody(examples[0]!))],
    [
      'a missing field',
      stored(posted, encodeBody({ ...posted, m: undefined } as unknown as ConversationEvent)),
    ],
    ['a version from the future', stored(posted, encodeBody(posted), 2)],
    ['an unknown type', { ...stored(posted), envelope: { ...stored(posted).envelope, type: 'x.y' } }],
  ]
  for (const [name, event] of cases) t.throws(() => decodeBody(event), UnreadableEventError, name)
  t.throws(() => decodeUserEvent(stored(posted)), UnreadableEventError)
  t.throws(() => decodeConversationEvent(stored(examples.at(-1)!)), UnreadableEventError)
})

t.test('upcasting: a member from before roles existed is a plain member', async t => {
  // Version 1 of member.joined had no role, version 2 added it, version 3 renames `member` to `user`.
  const table: Upcasters = {
    'member.joined': [
      body => ({ ...body, role: body.role ?? 'member' }),
      ({ member, ...body }) => ({ ...body, user: member }),
    ],
  }
  t.equal(currentVersion('member.joined', table), 3)
  t.equal(currentVersion('message.posted', table), 1)
  const old = { c: 'c1', member: 'bob' }
  t.same(upcast('member.joined', 1, old, table), { c: 'c1', user: 'bob', role: 'member' })
  t.same(upcast('member.joined', 2, { ...old, role: 'admin' }, table), {
    c: 'c1',
    user: 'bob',
    role: 'admin',
  })
  t.same(upcast('member.joined', 3, { c: 'c1', user: 'bob', role: 'owner' }, table), {
    c: 'c1',
    user: 'bob',
    role: 'owner',
  })
  t.same(old, { c: 'c1', member: 'bob' }, 'the stored body is unchanged')
  t.throws(() => upcast('member.joined', 4, {}, table), RangeError)
})
