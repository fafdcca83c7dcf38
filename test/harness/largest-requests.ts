import { Limits, type RequestType } from '../../src/events/index.ts'

export type Fields = Record<string, unknown>

/** The conversations and users that the requests name. */
export interface Stage {
  /** A group with as many members as one request can add. */
  readonly c: string
  /** A message of it. */
  readonly m: string
  /** A group with as many bans as a conversation may have. */
  readonly banned: string
  /** Conversations of the caller, as many as one request can name. */
  readonly many: readonly string[]
  /** A new id on each call. */
  id(): string
}

const most = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => make(i))
const repeated = (piece: string, length: number): string =>
  piece.repeat(Math.ceil(length / piece.length)).slice(0, length)
const longId = (index: number): string => `${index}-`.padEnd(Limits.idChars, 'x')
const cursorsOf = (ids: readonly string[], seq = 0): Record<string, number> =>
  Object.fromEntries(ids.map(c => [c, seq]))
const unknownCursors = (count: number): Record<string, number> => cursorsOf(most(count, longId), 2 ** 52)

/** Texts of the largest size, each slow for some way of reading a text. */
const texts: readonly string[] = [
  ...['a ', 'a', ' ', '!', '*', '<', '"', '\n'].map(piece => repeated(piece, Limits.textBytes)),
  `http://a${'!'.repeat(Limits.textBytes - 9)}x`,
  ...['\u200b', '東', 'e\u0301', '\u0e33', '👍🏽'].map(piece =>
    piece.repeat(Limits.textBytes / Buffer.byteLength(piece)),
  ),
]
const names: readonly string[] = [
  `x${' '.repeat(1022)}x`,
  `x${'.'.repeat(1022)}x`,
  '\u200d'.repeat(1024),
  '\ufdfa'.repeat(1024),
  `C:\\fakepath\\${'a.'.repeat(500)}`,
]
const file = (name: string): Fields => ({
  name,
  type: `a/${'b'.repeat(62)};${'x'.repeat(180)}`,
  size: 1,
  sha256: 'a'.repeat(64),
})
const queries: readonly string[] = [
  ...['a ', 'a* ', '"', '"a"', '"a"*', '*', '東', '\ufdfa', '👍🏽'].map(piece => repeated(piece, 256)),
  `"${'a '.repeat(126)}"`,
  `"${'a '.repeat(126)}b`,
  most(51, i => `a${i.toString(36)}*`).join(' '),
  most(51, i => i.toString(36)).join(' '),
]
const titles: readonly string[] = ['\u200b', 'a ', '👍🏽'].map(piece =>
  repeated(piece, Limits.titleChars).toWellFormed(),
)

const nested = (levels: number): Fields => {
  let data: Fields = {}
  for (let i = 1; i < levels; i++) data = { a: data }
  return data
}
/** Data of applications of the largest size: one text, many keys in no order, many values, and the deepest. */
const datas: readonly Fields[] = [
  { a: 'x'.repeat(Limits.dataBytes - 8) },
  Object.fromEntries(most(500, i => [`${(i * 7919) % 1_000}k`, 0])),
  { a: most(2_000, () => 1) },
  nested(Limits.dataDepth),
]
/** Times of the largest length, valid and not. */
const times: readonly string[] = [`2999-12-31T23:59:59.${'9'.repeat(19)}Z`, '9'.repeat(40), '-'.repeat(40)]

/**
 * The largest requests of each type, and the worst shapes known. A new type of request has to be added here: the
 * compiler requires it.
 */
export const largestRequests: {
  readonly [T in RequestType | 'hello']: (stage: Stage) => readonly Fields[]
} = {
  hello: ({ many }) => [
    { resume: cursorsOf(many) },
    { resume: unknownCursors(700), device: longId(0) },
    { token: `${'e.'.repeat(4_096)}` },
    { token: `eyJhbGciOiJIUzI1NiJ9.${'e'.repeat(8_000)}.x` },
  ],
  create: stage => [
    { c: stage.id(), kind: 'group', members: most(880, longId), title: titles[1] },
    ...titles.map(title => ({ c: stage.id(), kind: 'channel', members: most(1_000, i => `u${i}`), title })),
    ...datas.map(data => ({ c: stage.id(), kind: 'group', members: [], data })),
  ],
  send: stage => [
    ...texts.map(text => ({ c: stage.c, m: stage.id(), text })),
    ...datas.map(data => ({ c: stage.c, m: stage.id(), text: texts[0], data })),
    ...names.map(name => ({
      c: stage.c,
      m: stage.id(),
      text: '',
      attachments: most(Limits.attachments, () => ({ mediaId: stage.id(), ...file(name) })),
    })),
  ],
  edit: ({ c, m }) => [
    ...texts.map(text => ({ c, m, text })),
    ...datas.map(data => ({ c, m, text: texts[0], data })),
  ],
  delete: ({ c }) => [{ c, m: longId(0), key: longId(0) }],
  react: ({ c, m }) => [
    ...['❤\ufe0f', '👍🏽', '👩\u200d', '\ufe0f', 'a'].map(piece => ({
      c,
      m,
      emoji: repeated(piece, Limits.emojiChars).toWellFormed(),
      on: true,
    })),
    { c, m, emoji: '👩🏽\u200d❤\ufe0f\u200d💋\u200d👨🏽', on: true },
  ],
  invite: stage => [{ c: stage.c, user: stage.id(), key: stage.id() }],
  accept: stage => [{ c: stage.c, key: stage.id() }],
  decline: stage => [{ c: stage.c, key: stage.id() }],
  remove: ({ c }) => [{ c, user: 'u1', key: longId(1) }],
  ban: stage => [
    ...times.map(until => ({ c: stage.c, user: stage.id(), until, key: stage.id() })),
    { c: stage.c, user: longId(7), key: longId(7) },
  ],
  unban: stage => [{ c: stage.c, user: longId(7), key: stage.id() }],
  role: ({ c }) => [{ c, user: 'u2', role: 'admin', key: longId(2) }],
  join: stage => [{ c: stage.c, key: stage.id() }],
  leave: stage => [{ c: stage.many.at(-1), key: stage.id() }],
  rename: stage => titles.map(title => ({ c: stage.c, title, key: stage.id() })),
  settings: stage => [
    { c: stage.c, posting: 'everybody', slowModeSeconds: 0, key: longId(3) },
    ...datas.map(data => ({ c: stage.c, archived: false, historyFrom: 'start', data, key: stage.id() })),
  ],
  read: ({ c }) => [{ c, seq: Number.MAX_SAFE_INTEGER }],
  delivered: ({ c }) => [{ c, seq: Number.MAX_SAFE_INTEGER }],
  mute: ({ c }) => [{ c, on: true }],
  hide: ({ c }) => [{ c, on: true }],
  block: stage => [{ user: stage.id(), on: true }],
  direct: stage => [{ user: stage.id() }],
  profile: () => datas.map(data => ({ data })),
  privacy: () => [{ lastSeen: 'everybody', receipts: 'everybody' }],
  profiles: () => [{ users: most(Limits.profiles, i => `u${i}`) }, { users: most(Limits.profiles, longId) }],
  sessions: () => [{}, { end: longId(8) }],
  typing: ({ c }) => [{ c, on: true }],
  call: ({ c }) => [
    { c, to: 'u3', call: longId(4), kind: 'offer', data: repeated('a=candidate:1 ', Limits.callBytes) },
    { c, to: 'u3', call: longId(4), kind: 'offer', data: repeated('\n', Limits.callBytes) },
  ],
  conversation: ({ c }) => [{ c }],
  presence: ({ c }) => [
    { users: most(Limits.presenceUsers, i => `u${i}`), c, state: 'online' },
    { users: most(Limits.presenceUsers, longId) },
    { users: most(Limits.lastSeenUsers, i => `u${i}`), lastSeen: true },
  ],
  history: ({ c, m }) => [
    { c, limit: Limits.historyPage },
    { c, after: 0, limit: Limits.historyPage },
    { c, around: m, limit: Limits.historyPage },
    { c, around: longId(5), seen: Number.MAX_SAFE_INTEGER },
  ],
  inbox: ({ many }) => [
    { limit: Limits.inboxPage, seen: cursorsOf(many.slice(0, Limits.seen), 1) },
    { limit: Limits.inboxPage, seen: unknownCursors(Limits.seen) },
    { limit: Limits.inboxPage, cursor: 'a'.repeat(512) },
  ],
  undelivered: () => [{ limit: Limits.undeliveredPage }, { cursor: 'a'.repeat(512) }],
  members: ({ c }) => [
    { c, limit: Limits.membersPage },
    { c, cursor: 'a'.repeat(512) },
  ],
  invitations: ({ c }) => [
    { limit: Limits.invitationsPage },
    { c, limit: Limits.invitationsPage },
    { cursor: 'a'.repeat(512) },
  ],
  bans: ({ c, banned }) => [
    { c, limit: Limits.membersPage },
    { c: banned, limit: Limits.membersPage },
    { c, cursor: 'a'.repeat(512) },
  ],
  search: ({ c }) => [
    ...queries.map(q => ({ q, limit: Limits.searchPage })),
    ...queries.map(q => ({
      q,
      c,
      from: longId(6),
      hasMedia: true,
      after: '2026-01-01',
      before: '9999-12-31',
    })),
    { q: 'a', after: '1'.repeat(40) },
  ],
  media: ({ c }) => names.map(name => ({ ...file(name), c })),
  sync: ({ many }) => [{ cursors: cursorsOf(many) }, { cursors: unknownCursors(700) }],
  ping: () => [{}],
}

/** Fields that no type has, and values that no field has: every type refuses them, at the size of a frame. */
export const refusedFields = (): readonly Fields[] => {
  const size = Limits.frameBytes - 600
  const deep = (pieces: number): unknown => {
    let value: unknown = 0
    for (let i = 0; i < pieces; i++) value = [value]
    return value
  }
  return [
    { x: 'a'.repeat(size) },
    { [`${'/~'.repeat(size / 8)}`]: 1 },
    { x: most(size / 8, () => 'a') },
    Object.fromEntries(most(size / 10, i => [`${i}`.padStart(5, 'k'), 0])),
    { c: 'a'.repeat(size), user: 'a'.repeat(1), m: deep(14) },
    { members: most(size / 4, i => i % 10), users: [], cursors: {} },
    { users: most(size / 8, () => 'abc'), members: [], resume: [] },
    { resume: unknownCursors(700), cursors: {}, seen: [] },
    { __proto__x: 1, ['__proto__']: most(size / 4, () => 'a') },
  ]
}

/** Texts of the largest query string or header that the transport accepts, each slow for some way of reading it. */
const longTexts: readonly string[] = [
  'a',
  ',',
  ' ',
  '%20',
  '&',
  '=',
  ';',
  'a:1,',
  'a=1&',
  'a,',
  ':',
  '"',
  '-',
].map(piece => repeated(piece, 3_500))

export const largestQueries: readonly string[] = longTexts.flatMap(text => {
  const value = encodeURIComponent(text).slice(0, 3_500).replace(/%.?$/, '')
  return [
    text.replaceAll(' ', '+').replaceAll('"', '%22').slice(0, 3_500),
    `seen=${value}`,
    `q=${value}`,
    `cursor=${value}`,
  ]
})

/** Headers that the server reads. */
export const largestHeaders: readonly Readonly<Record<string, string>>[] = [
  'authorization',
  'accept-encoding',
  'cookie',
  'if-none-match',
  'last-event-id',
  'origin',
  'range',
  'traceparent',
  'x-forwarded-for',
].flatMap(name =>
  [
    ...longTexts.slice(0, 6),
    `Bearer ${repeated('e.', 3_400)}`,
    `2${'.0'.repeat(1_600)}`,
    `bytes=${'1'.repeat(3_400)}`,
  ].map(text => ({ [name]: text.trim() || 'x' })),
)
