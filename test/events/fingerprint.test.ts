import fc from 'fast-check'
import t from 'tap'
import { emptyConversation } from '../../src/commands/domain/conversation-state.ts'
import { asksFor, type ConversationRequest, fingerprintOf } from '../../src/events/index.ts'
import { arbitraryCreate, arbitraryUser, arbitraryWish } from '../commands/arbitrary-commands.ts'
import { command, run, type Wish } from '../commands/given.ts'

const requestOf = (wish: Wish): ConversationRequest => command('alice', wish).request

const attachment = (mediaId: string, name = 'a.png') => ({
  mediaId,
  name,
  type: 'image/png',
  size: 1,
  sha256: 'a'.repeat(64),
})

t.test('a request asks for the event that it produces, whatever the history', async t => {
  fc.assert(
    fc.property(
      arbitraryCreate,
      fc.array(fc.tuple(arbitraryUser, arbitraryWish), { maxLength: 60, size: 'max' }),
      (create, wishes) => {
        const state = emptyConversation('c1')
        for (const [from, wish] of [['alice', create] as const, ...wishes]) {
          const one = command(from, wish)
          const decision = run(state, one)
          if (!('event' in decision)) continue
          const { type } = decision.event
          const recorded = { type, fingerprint: fingerprintOf(decision.event) }
          if (!asksFor(one.request, from, recorded)) throw new Error(`${JSON.stringify(decision.event)}`)
        }
      },
    ),
    { numRuns: 200 },
  )
  t.pass()
})

/** Requests of alice that differ in type, target or content from each other. */
const different: readonly Wish[] = [
  { t: 'create', kind: 'group', members: ['bob'] },
  { t: 'create', kind: 'channel', members: ['bob'] },
  { t: 'create', kind: 'group', members: ['bob', 'carol'] },
  { t: 'create', kind: 'group', members: ['bob'], title: 'Tea' },
  { t: 'create', kind: 'group', members: ['bob'], data: { a: 1 } },
  { t: 'create', kind: 'group', members: ['channel'] },
  { t: 'create', kind: 'channel', members: ['group'] },
  { t: 'send', m: 'm1', text: 'hi' },
  { t: 'send', m: 'm1', text: 'ho' },
  { t: 'send', m: 'm1', text: 'hi ' },
  { t: 'send', m: 'm1', text: 'hi', replyTo: 'm0' },
  { t: 'send', m: 'm1', text: 'hi', replyTo: 'a' },
  { t: 'send', m: 'm1', text: 'hi', attachments: [attachment('a')] },
  { t: 'send', m: 'm1', text: '', attachments: [attachment('a')] },
  { t: 'send', m: 'm1', text: '', attachments: [attachment('b')] },
  { t: 'send', m: 'm1', text: '', attachments: [attachment('a'), attachment('b')] },
  { t: 'send', m: 'm1', text: '', attachments: [attachment('b'), attachment('a')] },
  { t: 'send', m: 'm1', text: 'hi', data: { a: 1 } },
  { t: 'send', m: 'm1', text: 'hi', data: { a: '1' } },
  { t: 'send', m: 'm1', text: 'hi', data: { a: [1] } },
  { t: 'edit', m: 'm1', text: 'hi', data: { a: 1 } },
  { t: 'edit', m: 'm1', text: 'hi', data: null },
  { t: 'edit', m: 'm1', text: 'hi' },
  { t: 'edit', m: 'm2', text: 'hi' },
  { t: 'edit', m: 'm1', text: 'ho' },
  { t: 'delete', m: 'm1' },
  { t: 'delete', m: 'm2' },
  { t: 'react', m: 'm1', emoji: '👍', on: true },
  { t: 'react', m: 'm1', emoji: '👍', on: false },
  { t: 'react', m: 'm1', emoji: '👍🏽', on: true },
  { t: 'react', m: 'm2', emoji: '👍', on: true },
  { t: 'invite', user: 'bob' },
  { t: 'invite', user: 'carol' },
  { t: 'join' },
  { t: 'remove', user: 'bob' },
  { t: 'leave' },
  { t: 'decline' },
  { t: 'ban', user: 'bob' },
  { t: 'ban', user: 'carol' },
  { t: 'ban', user: 'bob', until: '2030-01-01T00:00:00.000Z' },
  { t: 'unban', user: 'bob' },
  { t: 'role', user: 'bob', role: 'admin' },
  { t: 'role', user: 'bob', role: 'owner' },
  { t: 'role', user: 'carol', role: 'admin' },
  { t: 'rename', title: 'Tea' },
  { t: 'rename', title: 'tea' },
  { t: 'settings', posting: 'staff', slowModeSeconds: 0 },
  { t: 'settings', posting: 'everybody', slowModeSeconds: 0 },
  { t: 'settings', posting: 'staff', slowModeSeconds: 1 },
  { t: 'settings', posting: 'staff', slowModeSeconds: 1, data: null },
  { t: 'settings', posting: 'staff', slowModeSeconds: 1, data: { a: 1 } },
  { t: 'settings', posting: 'staff', slowModeSeconds: 2, archived: true },
  { t: 'settings', posting: 'staff', slowModeSeconds: 2, archived: false },
  { t: 'settings', posting: 'everybody', slowModeSeconds: 21_600, archived: true },
]

/** Returns what the log records of a request of alice. */
const recordedOf = (request: ConversationRequest) => {
  const common = { t: 'event', c: 'c1', seq: 1, from: 'alice', at: '' } as const
  const event = ((): Parameters<typeof fingerprintOf>[0] => {
    switch (request.t) {
      case 'create': {
        const members = ['alice', ...request.members].map(user => ({ user, role: 'member' as const }))
        return { ...common, ...request, t: 'event', type: 'conversation.created', members }
      }
      case 'send':
        return { ...common, ...request, t: 'event', type: 'message.posted', n: 1 }
      case 'edit':
        return { ...common, ...request, t: 'event', type: 'message.edited' }
      case 'delete':
        return { ...common, ...request, t: 'event', type: 'message.deleted' }
      case 'react':
        return { ...common, ...request, t: 'event', type: request.on ? 'reaction.added' : 'reaction.removed' }
      case 'invite':
        return { ...common, type: 'member.joined', user: request.user, role: 'member' }
      case 'join':
        return { ...common, type: 'member.joined', user: 'alice', role: 'member' }
      case 'accept':
        return { ...common, type: 'member.joined', user: 'alice', role: 'member' }
      case 'decline':
        return { ...common, type: 'member.uninvited', user: 'alice' }
      case 'remove':
        return { ...common, type: 'member.left', user: request.user }
      case 'leave':
        return { ...common, type: 'member.left', user: 'alice' }
      case 'ban':
        return { ...common, ...request, t: 'event', type: 'member.banned' }
      case 'unban':
        return { ...common, type: 'member.unbanned', user: request.user }
      case 'role':
        return { ...common, ...request, t: 'event', type: 'member.role_changed' }
      case 'rename':
        return { ...common, ...request, t: 'event', type: 'conversation.renamed' }
      case 'settings': {
        const { posting = 'everybody', slowModeSeconds = 0, archived = false, data } = request
        const settings = { posting, slowModeSeconds, archived, ...(data === undefined ? {} : { data }) }
        return { ...common, type: 'conversation.settings_changed', ...settings }
      }
    }
  })()
  return { type: event.type, fingerprint: fingerprintOf(event) }
}

t.test('a request asks for no event of another type, target or content', async t => {
  const requests = different.map(requestOf)
  for (const [i, one] of requests.entries())
    for (const [j, other] of requests.entries())
      t.equal(
        asksFor(one, 'alice', recordedOf(other)),
        i === j,
        `${JSON.stringify(one)} ${JSON.stringify(other)}`,
      )
})

t.test('the form of a request does not matter', async t => {
  const same: [Wish, Wish][] = [
    [
      { t: 'create', kind: 'group', members: ['bob', 'carol'] },
      { t: 'create', kind: 'group', members: ['carol', 'alice', 'bob', 'carol'] },
    ],
    [
      { t: 'send', m: 'm1', text: 'hi' },
      { t: 'send', m: 'm1', text: 'hi', attachments: [] },
    ],
    [
      { t: 'send', m: 'm1', text: '', attachments: [attachment('a')] },
      { t: 'send', m: 'm1', text: '', attachments: [attachment('a', 'A.PNG')] },
    ],
    [
      { t: 'react', m: 'm1', emoji: '❤️', on: true },
      { t: 'react', m: 'm1', emoji: '❤', on: true },
    ],
    [
      { t: 'settings', posting: 'staff', slowModeSeconds: 5 },
      { t: 'settings', posting: 'staff' },
    ],
    [{ t: 'settings', posting: 'staff', slowModeSeconds: 5 }, { t: 'settings' }],
    [
      { t: 'settings', posting: 'staff', archived: true },
      { t: 'settings', archived: true },
    ],
    [
      { t: 'settings', posting: 'staff', archived: true },
      { t: 'settings', slowModeSeconds: 0 },
    ],
  ]
  for (const [one, other] of same)
    t.ok(asksFor(requestOf(other), 'alice', recordedOf(requestOf(one))), JSON.stringify([one, other]))
})

t.test('texts that differ have different fingerprints', async t => {
  const prints = new Map<number, string>()
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 12 }), text => {
      const { fingerprint } = recordedOf(requestOf({ t: 'send', m: 'm1', text }))
      const known = prints.get(fingerprint)
      prints.set(fingerprint, text)
      return known === undefined || known === text
    }),
    { numRuns: 20_000 },
  )
  t.ok(prints.size > 10_000)
})
