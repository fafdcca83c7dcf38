import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { ndjsonSource, parseNdjsonLine } from '../../src/cli/import/ndjson.ts'
import { type RawLine, readLines } from '../../src/cli/import/read-lines.ts'
import { badData } from '../events/arbitrary-data.ts'
import { tempFolder } from '../harness/temp-folder.ts'

const good = { c: 'tea', m: 'm-1', from: 'ann', at: '2020-02-03T04:05:06.789Z', text: 'hi' }

t.test('a line of the import format', async t => {
  t.same(parseNdjsonLine(JSON.stringify({ ...good, replyTo: 'm-0' }), 3), {
    kind: 'message',
    c: 'tea',
    m: 'm-1',
    user: 'ann',
    at: good.at,
    text: 'hi',
    replyTo: 'm-0',
    line: 3,
  })
  const data = { tags: ['old', { n: 1 }] }
  t.match(parseNdjsonLine(JSON.stringify({ ...good, data }), 3), { data })
  const times: [given: string, kept: string][] = [
    ['2020-02-03T04:05:06Z', '2020-02-03T04:05:06.000Z'],
    ['2020-02-03T04:05Z', '2020-02-03T04:05:00.000Z'],
    ['2020-02-03T04:05:06.123456Z', '2020-02-03T04:05:06.123Z'],
    ['2020-02-03T04:05:06+02:00', '2020-02-03T02:05:06.000Z'],
  ]
  for (const [at, kept] of times) t.match(parseNdjsonLine(JSON.stringify({ ...good, at }), 1), { at: kept })
})

t.test('a line that is not valid has a reason', async t => {
  const cases: [line: string, reason: RegExp][] = [
    ['{', /not JSON/],
    ['[]', /not a JSON object/],
    ['null', /not a JSON object/],
    [JSON.stringify({ ...good, c: 'a b' }), /^c must be an id/],
    [JSON.stringify({ ...good, m: '' }), /^m must be an id/],
    [JSON.stringify({ ...good, from: 'x'.repeat(65) }), /^from must be an id/],
    [JSON.stringify({ ...good, from: undefined }), /^from must be an id/],
    [JSON.stringify({ ...good, replyTo: 7 }), /^replyTo/],
    [JSON.stringify({ ...good, at: 'yesterday' }), /^at must/],
    [JSON.stringify({ ...good, at: 1580702706 }), /^at must/],
    [JSON.stringify({ ...good, at: '2020-13-03T04:05:06Z' }), /^at must/],
    [JSON.stringify({ ...good, at: '2020-02-03T04:05:06' }), /^at must/],
    [JSON.stringify({ ...good, at: '2021-02-30T04:05:06Z' }), /^at must/],
    [JSON.stringify({ ...good, at: '2999-01-01T00:00:00Z' }), /^time is later than now/],
    [JSON.stringify({ ...good, at: '0000-01-01T00:00:00+01:00' }), /^time must be in the years/],
    [JSON.stringify({ ...good, text: null }), /^text must/],
    ...['', ' ', '\n', '\u00a0', '\u200b\ufeff', '\u2800\u3164'].map((text): [string, RegExp] => [
      JSON.stringify({ ...good, text }),
      /^text has no visible character/,
    ]),
    ['{"c":"a","m":"b","from":"c","at":"2020-02-03T04:05:06Z","text":"\\ud800"}', /surrogate/],
    [JSON.stringify({ ...good, text: 'é'.repeat(8193) }), /more than 16384 bytes/],
    [JSON.stringify({ ...good, attachments: [] }), /unknown field "attachments"/],
    [JSON.stringify({ ...good, data: null }), /^data: expected a JSON object/],
    ...badData.map(([data, field]): [string, RegExp] => [
      `${JSON.stringify(good).slice(0, -1)},"data":${data}}`,
      new RegExp(`^${field.slice(1)}.*: `),
    ]),
  ]
  for (const [line, reason] of cases) t.match(parseNdjsonLine(line, 1), reason, line.slice(0, 60))
})

t.test('reads the same lines for every block size, and after every checkpoint', async t => {
  const folder = tempFolder(t)
  const path = join(folder, 'file')
  const line = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 20 }).map(text => text.replaceAll(/[\r\n]/g, '')),
    fc.integer({ min: 100_000, max: 300_000 }).map(length => 'x'.repeat(length)),
  )
  await fc.assert(
    fc.asyncProperty(
      fc.array(line, { maxLength: 30 }),
      fc.constantFrom('\n', '\r\n'),
      fc.boolean(),
      async (lines, end, last) => {
        const text = lines.join(end) + (last && lines.length > 0 ? end : '')
        writeFileSync(path, text)
        const limit = 150_000
        const wanted =
          text === ''
            ? []
            : (last ? lines : lines.at(-1) === '' ? lines.slice(0, -1) : lines).map(each =>
                Buffer.byteLength(each) > limit ? 'too long' : each,
              )
        const read = async (after?: Parameters<typeof readLines>[1]) => {
          const seen: string[] = []
          const ends = []
          for await (const block of readLines(path, after, limit)) {
            seen.push(
              ...block.lines.map((each: RawLine) => (typeof each === 'string' ? each : each.toString())),
            )
            ends.push({ ...block.end, seen: seen.length })
          }
          return { seen, ends }
        }
        const { seen, ends } = await read()
        t.same(seen, wanted)
        for (const { seen: count, ...position } of ends) {
          t.equal(
            position.digest,
            createHash('sha256').update(Buffer.from(text).subarray(0, position.bytes)).digest('hex'),
          )
          t.same((await read(position)).seen, wanted.slice(count), 'continues after a checkpoint')
          t.same(
            (await read({ ...position, digest: 'another' })).seen,
            wanted,
            'starts from the beginning for another file',
          )
        }
      },
    ),
    { numRuns: 30 },
  )
})

t.test('blank lines and a byte order mark are skipped, lines that are not UTF-8 are refused', async t => {
  const folder = tempFolder(t)
  const path = join(folder, 'file.ndjson')
  const one = JSON.stringify(good)
  const two = JSON.stringify({ ...good, m: 'm-2' })
  writeFileSync(
    path,
    Buffer.concat([
      Buffer.from(`\ufeff${one}\n\n \n`),
      Buffer.from([0x7b, 0xff, 0x7d, 0x0a]),
      Buffer.from(two),
    ]),
  )
  const source = await ndjsonSource(path)
  const batches = []
  for await (const batch of source.read(undefined)) batches.push(batch)
  t.same(
    batches.flatMap(({ items }) => items.map(item => [item.line, item.kind === 'message' && item.m])),
    [
      [1, 'm-1'],
      [5, 'm-2'],
    ],
  )
  t.same(
    batches.flatMap(({ bad }) => bad),
    [{ line: 4, reason: 'is not UTF-8' }],
  )
  t.equal(batches.at(-1)?.end.bytes, source.bytes)
  t.equal(
    batches.reduce((sum, { ignored }) => sum + ignored, 0),
    2,
    'the empty lines',
  )
})

t.test('each line of any bytes is a message, is reported or is empty', async t => {
  const path = join(tempFolder(t), 'file.ndjson')
  const line = fc.oneof(
    fc.record({
      text: fc.string({ unit: 'binary', maxLength: 5 }),
      at: fc.constantFrom(good.at, '2021-02-30T00:00Z'),
    }),
    fc.constantFrom({}, { m: 'x y' }, { more: 1 }),
  )
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 100 }),
    fc
      .array(
        fc.oneof(
          line.map(fields => JSON.stringify({ ...good, ...fields })),
          fc.string({ maxLength: 5 }),
        ),
      )
      .map(lines => Buffer.from(lines.join('\n'))),
  )
  await fc.assert(
    fc.asyncProperty(bytes, async content => {
      writeFileSync(path, content)
      const seen = new Set<number>()
      let ignored = 0
      let lines = 0
      for await (const batch of (await ndjsonSource(path)).read(undefined)) {
        for (const each of [...batch.items, ...batch.bad]) {
          t.notOk(seen.has(each.line), 'once')
          seen.add(each.line)
        }
        ignored += batch.ignored
        lines = batch.end.lines
      }
      t.equal(seen.size + ignored, lines)
    }),
    { numRuns: 200 },
  )
})
