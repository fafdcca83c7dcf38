import t from 'tap'
import { OperationJournal } from '../../../src/infra/nats/reshard/index.ts'
import { startNats } from '../../harness/nats.ts'
import { runConfab } from '../../harness/replay.ts'

t.test('the journal is a lock for one operator', async t => {
  const nats = await startNats(t)
  const open = async () => {
    const journal = await OperationJournal.open(await nats.connect())
    t.teardown(() => journal.close())
    return journal
  }
  const first = await open()
  const second = await open()
  t.equal(await first.read(), undefined)
  t.equal(await second.isRunning(), false, 'nothing is begun')
  const operation = {
    family: 'conv',
    moves: [{ from: 'CONV_0', to: 'CONV_1', partitions: [1] }],
  } as const
  await first.begin(operation)
  await t.rejects(second.begin(operation), { message: /taken the operation over/ }, 'both cannot begin')
  await first.record(0, { step: 'mirror' })
  t.match(await second.read(), { isDone: false, moves: [{ to: 'CONV_1', step: 'mirror' }] })
  t.equal(await second.isRunning(), true)
  t.match(await runConfab(['streams', 'reshard', '--nats', nats.url, '--streams', '2', '--yes']), {
    code: 1,
    stderr: /OPERATION_RUNNING/,
  })
  t.match(await runConfab(['streams', 'reshard', '--nats', nats.url, '--resume', '--yes']), {
    code: 1,
    stderr: /OPERATION_RUNNING/,
  })

  await first.close()
  t.equal(await second.isRunning(), false, 'its process has ended')
  await second.begin((await second.read())!)
  await t.rejects(
    first.record(0, { step: 'cut' }),
    { message: /taken the operation over/ },
    'it was taken over',
  )
  await second.record(0, { step: 'done', refusedMs: 4 })
  await second.finish()
  t.match(await first.read(), { isDone: true, moves: [{ step: 'done', refusedMs: 4 }] })
})
