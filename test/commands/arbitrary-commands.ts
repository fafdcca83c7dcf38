import fc from 'fast-check'
import { arbitraryData } from '../events/arbitrary-data.ts'
import type { Wish } from './given.ts'

/** Few users, so that commands collide on the same message or member. */
export const users = ['alice', 'bob', 'carol', 'dave', 'eve']

export const arbitraryUser = fc.constantFrom(...users)
const message = fc.integer({ min: 1, max: 30 }).map(i => `m${i}`)
const emoji = fc.constantFrom('👍', '👎')
const text = fc.string({ maxLength: 20 })
const title = fc.constantFrom('Tea', 'Coffee')
const posting = fc.constantFrom('everybody', 'everybody', 'staff')
const slowModeSeconds = fc.constantFrom(0, 0, 10)
/** Often the same data, so that commands repeat it. */
const data = fc.oneof(fc.constantFrom({}, { a: 1 }, { b: [1], a: 1 }, { a: 1, b: [1] }), arbitraryData)
const change = fc.oneof(data, fc.constant(null))
const archived = fc.constantFrom(false, false, true)
const role = fc.constantFrom('owner', 'admin', 'member')

export const arbitraryCreate: fc.Arbitrary<Wish> = fc.record(
  {
    t: fc.constant('create'),
    kind: fc.constantFrom('direct', 'group', 'channel'),
    members: fc.array(arbitraryUser, { maxLength: 4 }),
    data,
  },
  { requiredKeys: ['t', 'kind', 'members'] },
)

const send = fc.record(
  { t: fc.constant('send'), m: message, text, data },
  { requiredKeys: ['t', 'm', 'text'] },
)

/** Any valid request except `create`; most are sends. */
export const arbitraryWish: fc.Arbitrary<Wish> = fc.oneof(
  { weight: 6, arbitrary: send },
  fc.record({ t: fc.constant('edit'), m: message, text, data: change }, { requiredKeys: ['t', 'm', 'text'] }),
  fc.record({ t: fc.constant('delete'), m: message }),
  fc.record({ t: fc.constant('react'), m: message, emoji, on: fc.boolean() }),
  fc.record({ t: fc.constant('invite'), user: arbitraryUser }),
  fc.constant({ t: 'accept' } as const),
  fc.constant({ t: 'decline' } as const),
  fc.record({ t: fc.constant('remove'), user: arbitraryUser }),
  fc.record({ t: fc.constant('role'), user: arbitraryUser, role }),
  fc.constant({ t: 'join' } as const),
  fc.constant({ t: 'leave' } as const),
  fc.record({ t: fc.constant('rename'), title }),
  fc.record(
    { t: fc.constant('settings'), posting, slowModeSeconds, archived, data: change },
    { requiredKeys: ['t', 'posting', 'slowModeSeconds', 'archived'] },
  ),
  fc.record({ t: fc.constant('ban'), user: arbitraryUser, until: fc.constant('2030-01-01T00:00:00.000Z') }),
  fc.record({ t: fc.constant('unban'), user: arbitraryUser }),
)
