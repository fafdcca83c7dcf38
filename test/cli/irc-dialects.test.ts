import fc from 'fast-check'
import t from 'tap'
import type { ImportItem } from '../../src/cli/import/import-item.ts'
import { readLog, userOfNick } from '../../src/cli/import/irc-source.ts'
import { decodeLog, linesOf } from '../../src/cli/import/log-text.ts'
import { dayInName } from '../../src/cli/import/log-time.ts'
import { conversation, type Dialect, dialects, type Said, type WrittenLog } from '../harness/irc-dialects.ts'

/** Returns the items of a line of a channel, with the time in the unit of the dialect. */
const expected = (said: Said, unitMs: number): object[] => {
  const at = new Date(Math.floor(said.at / unitMs) * unitMs).toISOString()
  const user = userOfNick(said.nick)
  switch (said.kind) {
    case 'message':
    case 'notice':
      return [{ kind: 'message', user, at, text: said.text }]
    case 'action':
      return [{ kind: 'message', user, at, text: `/me ${said.text}` }]
    case 'join':
      return [{ kind: 'join', user, at }]
    case 'part':
    case 'quit':
    case 'kick':
      return [{ kind: 'leave', user, at }]
    case 'nick':
      return [
        { kind: 'leave', user, at },
        { kind: 'join', user: userOfNick(said.to), at },
      ]
    default:
      return []
  }
}

const essence = (item: ImportItem): object => {
  const { kind, user, at } = item
  return kind === 'message' ? { kind, user, at, text: item.text } : { kind, user, at }
}

const read = (lines: readonly string[], day = '2000-01-01.log') =>
  readLog({ stem: day, day: dayInName(day)! }, '#room', lines, '')

const readBytes = (bytes: Uint8Array, day?: string) => read(linesOf(decodeLog(Buffer.from(bytes))), day)

/** Asserts that each line has items, or is a bad line, or is ignored, and that the numbers of lines are right. */
const accountsForEachLine = (content: ReturnType<typeof read>, count: number): void => {
  const withItems = new Set(content.items.map(({ line }) => line))
  const bad = new Set(content.bad.map(({ line }) => line))
  if (bad.size !== content.bad.length) throw new Error('a line is reported twice')
  if ([...bad].some(line => withItems.has(line))) throw new Error('a line is imported and reported')
  if (withItems.size + bad.size + content.ignored !== count)
    throw new Error(`${withItems.size} + ${bad.size} + ${content.ignored} lines of ${count}`)
  for (const line of [...withItems, ...bad])
    if (line < 1 || line > count) throw new Error(`there is no line ${line} of ${count}`)
}

const write = ({ write }: Dialect, said: readonly Said[]): WrittenLog[] => write(said)

for (const dialect of dialects)
  t.test(`a log of ${dialect.name} is read as it was written`, async t => {
    fc.assert(
      fc.property(conversation, said => {
        const contents = write(dialect, said).map(log => ({ log, content: read(log.lines, log.day) }))
        for (const { log, content } of contents) {
          accountsForEachLine(content, log.lines.length)
          t.same(content.bad, [])
          t.equal(content.ignored, log.ignored)
        }
        t.same(
          contents.flatMap(({ content }) => content.items.map(essence)),
          said.flatMap(each => expected(each, dialect.unitMs)),
        )
      }),
      { numRuns: 60 },
    )
  })

const anyLog = fc
  .tuple(fc.constantFrom(...dialects), conversation)
  .map(([dialect, said]) => write(dialect, said)[0]!)

t.test('line ends, byte order marks and encodings do not change what is read', async t => {
  const mark = '\ufeff'
  const encodings: [name: string, encode: (text: string) => Buffer][] = [
    ['UTF-8', text => Buffer.from(text)],
    ['UTF-8 with a mark', text => Buffer.from(mark + text)],
    ['UTF-16, little endian', text => Buffer.from(mark + text, 'utf16le')],
    ['UTF-16, big endian', text => Buffer.from(mark + text, 'utf16le').swap16()],
  ]
  fc.assert(
    fc.property(
      anyLog,
      fc.constantFrom('\n', '\r\n', '\r', '\r\r\n'),
      fc.constantFrom(...encodings),
      fc.boolean(),
      ({ lines, day }, end, [, encode], isEnded) => {
        // An empty last line without an end is no line.
        const text = lines.join(end) + (isEnded || lines.at(-1) === '' ? end : '')
        t.same(readBytes(encode(text), day), read(lines, day))
      },
    ),
    { numRuns: 200 },
  )
})

const codes = [
  '\x02',
  '\x0304,12',
  '\x03',
  '\x04ff00aa,00ff00',
  '\x0f',
  '\x11',
  '\x16',
  '\x1d',
  '\x1e',
  '\x1f',
]

t.test('formatting codes are removed wherever they are', async t => {
  fc.assert(
    fc.property(
      anyLog,
      fc.array(fc.tuple(fc.nat(), fc.constantFrom(...codes))),
      ({ lines, day }, inserted) => {
        const formatted = lines.map((line, i) => {
          const [place, code] = inserted[i] ?? [0, '']
          const at = place % (line.length + 1)
          // A digit or comma after the code would be part of it; half of a character is another character.
          const isUnsafe = /^[\d,a-f]/i.test(line.slice(at)) || /^[\udc00-\udfff]/.test(line.slice(at))
          return isUnsafe ? line : line.slice(0, at) + code + line.slice(at)
        })
        t.same(read(formatted, day), read(lines, day))
      },
    ),
    { numRuns: 200 },
  )
})

t.test('any bytes are read without an exception, and each line is accounted for once', async () => {
  const snippets = fc.constantFrom(
    ...[
      '[10:00] ',
      '10:00:01\t',
      '2021-03-04 ',
      '<una> ',
      '\x03',
      '*** Joins: ',
      '=== ',
      '--- Log opened ',
      '\r',
      '\n',
    ],
  )
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc
      .array(fc.oneof(snippets, fc.string({ unit: 'binary', maxLength: 8 })), { maxLength: 30 })
      .map(parts => Buffer.from(parts.join(''))),
    // A log with some changed bytes.
    fc
      .tuple(anyLog, fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 20 }))
      .map(([{ lines }, changes]) => {
        const log = Buffer.from(lines.join('\n'))
        for (const [place, byte] of changes) log[place % Math.max(log.length, 1)] = byte
        return log
      }),
  )
  fc.assert(
    fc.property(bytes, each =>
      accountsForEachLine(readBytes(each), linesOf(decodeLog(Buffer.from(each))).length),
    ),
    { numRuns: 500 },
  )
})
