import { setImmediate as nextTurn } from 'node:timers/promises'
import { pino } from 'pino'
import t from 'tap'
import { PresenceAudience } from '../../src/edge/presence/audience.ts'
import type { Contacts } from '../../src/edge/presence/contacts.ts'
import { WatchList } from '../../src/edge/presence/watch-list.ts'
import type { Session } from '../../src/edge/sessions/session.ts'
import { SessionRegistry } from '../../src/edge/sessions/session-registry.ts'
import { openSession } from '../harness/open-session.ts'

/** Answers about contacts at the times that a test chooses. All users are online. */
const setUp = (answers: Partial<Pick<Contacts, 'shownTo' | 'readableTo' | 'membersOf'>>) => {
  const sessions = new SessionRegistry()
  const watches = new WatchList(
    { total: 100_000, share: 100_000 },
    () => 'online',
    () => {},
  )
  const contacts = {
    shownTo: async (_asker: string, users: readonly string[]) => new Set(users),
    readableTo: async () => new Set<string>(),
    membersOf: async () => undefined,
    ...answers,
  } as unknown as Contacts
  const audience = new PresenceAudience({
    contacts,
    watches,
    sessions,
    stateOf: () => 'online',
    logger: pino({ level: 'silent' }),
  })
  const open = (user: string): Session => {
    const session = openSession(user)
    sessions.opened(session)
    return session
  }
  const watching = async (asker: string, ...users: string[]): Promise<Session> => {
    const session = open(asker)
    await audience.look(asker, users, session)
    return session
  }
  return { audience, watches, open, watching }
}

const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await nextTurn()
}

t.test('a change that thousands watch is decided in many turns of the event loop', async t => {
  const { audience, watches, watching } = setUp({})
  const askers = await Promise.all(Array.from({ length: 8_000 }, (_, n) => watching(`asker-${n}`, 'star')))
  const seeing = () => askers.filter(session => watches.knownTo(session, 'star') !== undefined).length
  t.equal(seeing(), 8_000)
  audience.changed('star', false)
  let count = 0
  const between = new Set<number>()
  for (; seeing() > 0 && count < 10_000; count++) {
    await nextTurn()
    between.add(seeing())
  }
  t.ok(between.size > 3, `others ran between parts of the work: ${between.size} times`)
})

t.test('two users that leave a group together do not see each other any more', async t => {
  let answer: (members: ReadonlySet<string>) => void = () => {}
  const members = new Promise<ReadonlySet<string>>(resolve => {
    answer = resolve
  })
  const { audience, watches, watching } = setUp({
    membersOf: async () => {
      const set = await members
      return { roleOf: (user: string) => (set.has(user) ? 'member' : undefined) } as never
    },
  })
  const ann = await watching('ann', 'ben')
  const ben = await watching('ben', 'ann')
  const left = [audience.left('group', 'ann'), audience.left('group', 'ben')]
  // The state that is read has both events already.
  answer(new Set(['cleo']))
  await Promise.all(left)
  await turns(3)
  t.equal(watches.knownTo(ann, 'ben'), undefined)
  t.equal(watches.knownTo(ben, 'ann'), undefined)
})

t.test('an asker whose contacts are slow to read does not delay others', async t => {
  const { audience, watches, watching } = setUp({
    readableTo: asker => (asker === 'slow' ? new Promise(() => {}) : Promise.resolve(new Set<string>())),
  })
  await watching('slow', 'star')
  const fast = await watching('fast', 'star')
  audience.changed('star', false)
  await turns(3)
  t.equal(watches.knownTo(fast, 'star'), undefined)
})

t.test('a user that hides is hidden at once, from requests in progress too', async t => {
  let answer: (shown: Set<string>) => void = () => {}
  let isSlow = false
  const { audience, watches, open, watching } = setUp({
    shownTo: (_, users) =>
      isSlow
        ? new Promise(resolve => {
            answer = resolve
          })
        : Promise.resolve(new Set(users)),
  })
  const early = await watching('early', 'star')
  isSlow = true
  const late = open('late')
  const looking = audience.look('late', ['star', 'other'], late)
  audience.changed('star', true)
  t.equal(watches.knownTo(early, 'star'), undefined, 'in the same turn')
  answer(new Set(['star', 'other']))
  t.same([...(await looking)], [['other', 'online']])
  t.equal(watches.knownTo(late, 'star'), undefined)
})

t.test('changes for other askers do not hide a popular user', async t => {
  let answer: (shown: Set<string>) => void = () => {}
  let isSlow = false
  const { audience, open, watching } = setUp({
    shownTo: (_, users) =>
      isSlow
        ? new Promise(resolve => {
            answer = resolve
          })
        : Promise.resolve(new Set(users)),
  })
  await watching('ann', 'star')
  isSlow = true
  const looking = audience.look('ben', ['star'], open('ben'))
  for (let n = 0; n < 10; n++) {
    audience.blocked('star', 'ann')
    audience.unblocked('star', 'ann')
    await nextTurn()
  }
  answer(new Set(['star']))
  t.same([...(await looking)], [['star', 'online']])
})

t.test('of two decisions about a pair, the one that began later holds', async t => {
  let answer: (shown: Set<string>) => void = () => {}
  const { audience, watches, open } = setUp({
    shownTo: () =>
      new Promise(resolve => {
        answer = resolve
      }),
    readableTo: async (_, users) => new Set(users),
  })
  const session = open('ann')
  const looking = audience.look('ann', ['star'], session)
  audience.changed('star', false)
  await turns(3)
  t.equal(watches.knownTo(session, 'star'), 'online', 'the later decision ends first')
  answer(new Set())
  t.same([...(await looking)], [['star', 'online']])
  t.equal(watches.knownTo(session, 'star'), 'online')
})
