import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { Limits } from '../../src/events/index.ts'

const numbered = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${prefix}${i}`)

/** The users whose clients send what the fuzzer generates. */
export const strangers: readonly string[] = numbered('stranger-', 8)

/** Users whose content no stranger may see. The strangers know their ids, and those of their conversations. */
export const victims: readonly string[] = ['victim-0', 'victim-1']
export const secretGroup = 'secret-group'
export const secretMessage = 'secret-message'

/** The owner of the common conversations. The strangers do not name it. */
export const keeper = 'keeper'
/** Conversations that all strangers are in, most of the time. */
export const commonConversations: readonly string[] = numbered('common-', 6)

/** Few ids, so that the requests of several strangers meet in the same conversations and messages. */
const conversations = [
  ...commonConversations,
  ...commonConversations,
  ...numbered('c', 8),
  secretGroup,
  'never-created',
]
const messages = [...numbered('m', 10), secretMessage]
const users = [...strangers, ...victims, 'never-seen']

/** Values that the run replaces by the newest one of an earlier answer to the same client. */
export const Earlier = {
  cursor: '$cursor',
  session: '$session',
  mediaId: '$mediaId',
  upload: '$upload',
  download: '$download',
} as const

/** Files that uploads announce and send. */
export const files = ['a', 'hello '.repeat(20), `\x89PNG\r\n\x1a\n${'x'.repeat(500)}`].map(content => {
  const bytes = Buffer.from(content, 'latin1')
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  return { bytes, size: bytes.length, sha256 }
})

/** The index of the file that is an image. */
export const imageFile = 2

const weighted = <T>(...choices: readonly [weight: number, arbitrary: fc.Arbitrary<T>][]): fc.Arbitrary<T> =>
  fc.oneof(...choices.map(([weight, arbitrary]) => ({ weight, arbitrary })))

const strange = [
  '\u200b',
  'e\u0301',
  '東京',
  '👩‍👩‍👧',
  '\u202e',
  '\u0000',
  '<b>&amp;</b>',
  '"',
  '\\',
  '*',
  "' OR 1=1 --",
  '%00',
  '\r\n',
]
/** A word of few messages. */
export const rareWord = 'saffron'
const words = weighted(
  [200, fc.constantFrom('tea', 'milk', 'and', 'http://a.b/c', '@stranger-1', '**bold**', ...strange)],
  [1, fc.constant(rareWord)],
)

const text = weighted(
  [60, fc.array(words, { minLength: 1, maxLength: 6 }).map(all => all.join(' '))],
  [10, fc.string({ unit: 'binary', maxLength: 40 })],
  [
    1,
    fc.constantFrom('', ' ', 'a '.repeat(2_000), '"'.repeat(Limits.textBytes), 'é'.repeat(Limits.textBytes)),
  ],
)

const time = fc.constantFrom(
  '2026-01-01',
  '2999-12-31T23:59:59Z',
  '2026-02-30',
  '0000-01-01',
  'now',
  '9'.repeat(40),
)

const idOf = (ids: readonly string[], earlier?: string): fc.Arbitrary<string> =>
  weighted(
    [30, fc.constantFrom(...ids)],
    [earlier === undefined ? 0 : 20, fc.constant(earlier ?? '')],
    [1, fc.string({ unit: fc.constantFrom(...'abcXYZ019_-'), minLength: 1, maxLength: 64 })],
  )

const user = idOf(users)

/** Strings by the name of their field. Fields with a schema of their own, such as a choice, are not listed. */
export const stringsByField: Readonly<Record<string, fc.Arbitrary<string>>> = {
  c: idOf(conversations),
  m: weighted([3, idOf(messages)], [1, fc.nat({ max: 100_000 }).map(n => `n${n}`)]),
  replyTo: idOf(messages),
  around: idOf(messages),
  user,
  users: user,
  members: user,
  to: user,
  from: user,
  key: idOf(numbered('key', 40)),
  device: idOf(numbered('device', 4)),
  session: idOf(['never-opened'], Earlier.session),
  end: idOf(['never-opened'], Earlier.session),
  call: idOf(numbered('call', 4)),
  mediaId: idOf(['never-uploaded'], Earlier.mediaId),
  cursor: idOf(['bm9uZQ', '%%%', 'a'.repeat(512)], Earlier.cursor),
  sha256: fc.constantFrom(...files.map(file => file.sha256), '0'.repeat(64)),
  name: fc.constantFrom('a.png', 'a', '../a', 'C:\\a', ' .', `${'a'.repeat(1_000)}.txt`, 'a\u202egnp.exe'),
  type: fc.constantFrom('image/png', '', 'text/plain', 'TEXT/HTML; charset=x', 'image/svg+xml', '/', 'a/b/c'),
  emoji: fc.constantFrom('👍', '❤', '❤️', '👩‍👩‍👧', 'a', '🇩🇪', '👍🏽', '\u200d'),
  title: fc.constantFrom('Tea', '東京', ' ', '\u202eTea', 'a\nb', 'x'.repeat(200)),
  q: weighted(
    [
      4,
      fc.constantFrom('tea', 'te*', '"tea and"', 'tea milk', '*', '"', 'NOT', 'a:b', '東', '-', '^tea', '{x'),
    ],
    [1, fc.string({ unit: 'binary', minLength: 1, maxLength: 256 })],
  ),
  after: time,
  before: time,
  until: time,
  text,
  data: text,
  token: fc.constantFrom('', 'x', 'a.b.c', `${'e.'.repeat(2_000)}`),
}

/** The sequence numbers that conversations of a run reach. */
export const seqs: fc.Arbitrary<number> = fc.oneof(
  { weight: 6, arbitrary: fc.nat({ max: 400 }) },
  { weight: 1, arbitrary: fc.constantFrom(Number.MAX_SAFE_INTEGER, 2 ** 31, 2 ** 32) },
)

const nested = (depth: number, make: (inner: unknown) => unknown): unknown => {
  let value: unknown = 0
  for (let i = 0; i < depth; i++) value = make(value)
  return value
}

/** Values that no field expects. Functions, because a value that a test prints or shares may be large. */
export const strangeValues: readonly (() => unknown)[] = [
  () => null,
  () => '',
  () => 0,
  () => -1,
  () => 1.5,
  () => -0,
  () => 2 ** 53,
  () => 1e308,
  () => true,
  () => [],
  () => {},
  () => ({}),
  () => [[]],
  () => [null],
  () => ({ length: 1 }),
  () => ({ toJSON: 'x', toString: 'x', constructor: 'x' }),
  () => JSON.parse('{"__proto__":{"c":"c0"}}'),
  () => '__proto__',
  () => 'constructor',
  () => '*',
  () => '>',
  () => 'a.b',
  () => '../../etc/passwd',
  () => '\u0000',
  () => '\ud800',
  () => '\ufeff',
  () => 'a'.repeat(65),
  () => 'ÿ'.repeat(4_000),
  () => 'x'.repeat(70_000),
  () => 'x'.repeat(140_000),
  () => nested(20, inner => [inner]),
  () => nested(1_000, inner => [inner]),
  () => nested(1_000, inner => ({ a: inner })),
  () => Array.from({ length: 5_000 }, () => 'c0'),
  () => Array.from({ length: 1_001 }, (_, i) => `user-${i}`),
  () => Object.fromEntries(Array.from({ length: 1_001 }, (_, i) => [`c${i}`, i])),
  () => Buffer.from([0xff, 0x00, 0xc3, 0x28]),
  () => new Date(0),
]
