import t from 'tap'
import { openCheckpoints } from '../../src/cli/import/checkpoints.ts'
import type { StreamPosition } from '../../src/events/index.ts'
import { startNats } from '../harness/nats.ts'

const at = (conv: number, user: number, prefix = ''): StreamPosition[] => [
  { family: 'conv', stream: `${prefix}CONV_0`, streamSeq: conv },
  { family: 'user', stream: `${prefix}USER_0`, streamSeq: user },
]

t.test('a checkpoint counts for the log that it was saved for, whatever its streams are called', async t => {
  const nats = await (await startNats(t)).connect()
  const open = (positions: StreamPosition[]) => openCheckpoints(nats, { positions: () => positions })
  const position = { bytes: 10, lines: 2, digest: 'd' }
  await (await open(at(100, 7))).save('file', position)
  t.same(await (await open(at(100, 7))).load('file'), position)
  t.same(await (await open(at(120, 9, 'EAST_'))).load('file'), position, 'promoted mirrors')
  t.equal(await (await open(at(99, 7))).load('file'), undefined, 'a shorter log')
  t.equal(await (await open(at(99, 700, 'EAST_'))).load('file'), undefined)
  t.equal(
    await (await open([...at(100, 7), ...at(100, 7, 'B_')])).load('file'),
    undefined,
    'another set of streams',
  )
})
