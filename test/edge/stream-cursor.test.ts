import t from 'tap'
import {
  cursorOf,
  decodeCursor,
  encodeCursor,
  isUnreachable,
  sequenceIn,
} from '../../src/edge/catch-up/stream-cursor.ts'
import type { StreamPosition } from '../../src/events/index.ts'

const conv = (stream: string, streamSeq: number): StreamPosition => ({ family: 'conv', stream, streamSeq })
const positions = [conv('A', 100), conv('B', 7), { family: 'user', stream: 'C', streamSeq: 9 }] as const

t.test('an id has the sequences of the conversations, and no name', async t => {
  const id = encodeCursor(cursorOf(positions))
  t.equal(id, '2.2s.7')
  t.same([...decodeCursor(id, positions)], Object.entries({ A: 100, B: 7 }))
})

t.test('an id stays valid when a mirror with another name is promoted', async t => {
  const id = encodeCursor(cursorOf(positions))
  const promoted = [conv('EAST_1', 300), conv('EAST_2', 10)]
  t.same([...decodeCursor(id, promoted)], Object.entries({ EAST_1: 100, EAST_2: 7 }))
})

t.test('ids of the form before are read, in any order of the streams', async t => {
  for (const id of ['1.A.2s.B.7', '1.B.7.A.2s']) {
    const cursor = decodeCursor(id, positions)
    t.same([...cursor], Object.entries({ A: 100, B: 7 }), id)
    t.equal(encodeCursor(cursor), '2.2s.7')
  }
})

t.test('an id of other streams is reached by no node', async t => {
  for (const id of ['2.2s', '2.2s.7.9', '1.A.2s', '1.A.2s.X.7', '1.A.2s.B.7.X.1']) {
    const cursor = decodeCursor(id, positions)
    t.ok(isUnreachable(cursor), id)
    t.ok(isUnreachable(decodeCursor(encodeCursor(cursor), positions)), `${id}, once more`)
  }
  t.notOk(isUnreachable(decodeCursor('2.2s.7', positions)))
  t.notOk(isUnreachable(decodeCursor('2.zzzzz.7', positions)), 'a node may be behind')
})

t.test('an id stays valid when streams are added', async t => {
  const added = [
    conv('A', 300),
    conv('B', 70),
    { ...conv('D', 400), origin: { stream: 'A', streamSeq: 200 } },
    { ...conv('E', 450), origin: { stream: 'D', streamSeq: 350 } },
  ]
  const cursor = (A: number, D: number, E: number) => Object.entries({ A, B: 7, D, E })
  t.same([...decodeCursor('2.2s.7', added)], cursor(100, 100, 100), 'before the end in the origin')
  t.same([...decodeCursor('2.6y.7', added)], cursor(250, 200, 200), 'after it')
  t.same([...decodeCursor('1.B.7.A.6y', added)], cursor(250, 200, 200), 'in the form before')
  t.same([...decodeCursor('2.6y.7.aa', added)], cursor(250, 370, 350), 'between two additions')
  const before = cursorOf(positions)
  t.same(
    ['A', 'D', 'E', 'F'].map(stream => sequenceIn(before, stream, added)),
    [100, 100, 100, 0],
  )
})

t.test('anything else is refused', async t => {
  for (const id of [
    '',
    '2',
    '2.',
    '2.A',
    '2.-1',
    '2.1.',
    '3.1',
    '1',
    '1.A',
    '1.A.-4',
    `2${'.1'.repeat(300)}`,
  ])
    t.throws(() => decodeCursor(id, positions), { code: 'BAD_REQUEST', field: '/Last-Event-ID' }, id)
})
