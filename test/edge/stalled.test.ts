import t from 'tap'
import { startConfab } from '../harness/confab.ts'

const confab = await startConfab(t, { limits: { resumes: 1, slowMs: 300 } })

t.test('who stops reading what it missed does not keep the others from what they missed', async t => {
  const alice = await confab.connect('alice')
  await alice.ok('create', { c: 'much', kind: 'group', members: ['bob', 'carol'] })
  const text = 'x'.repeat(16_000)
  for (let n = 0; n < 800; n += 100)
    await Promise.all(
      Array.from({ length: 100 }, (_, i) => alice.ok('send', { c: 'much', m: `m${n + i}`, text })),
    )
  const bob = await confab.connectSlow('bob', { resume: { much: 0 } })
  bob.stopReading()
  const connections = confab.edge.connections()
  const carol = await confab.connect('carol', { resume: { much: 780 } })
  t.match(await carol.find(frame => frame.t === 'synced'), { c: 'much', seq: 801 })
  t.equal(confab.edge.connections(), connections, 'carol has come, bob was sent away')
})

t.test('who asks for very much has one turn at a time', async t => {
  const two = await startConfab(t, { limits: { resumes: 2 } })
  const alice = await two.connect('alice')
  await alice.ok('create', { c: 'small', kind: 'group', members: ['bob'] })
  const greedy = await two.connect('mallory')
  const asked = 5_000
  for (let n = 0; n < asked; n += 500) {
    const cursors = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`none${n + i}`, 0]))
    await greedy.ok('sync', { cursors })
  }
  const bob = await two.connect('bob', { resume: { small: 0 } })
  await bob.find(frame => frame.t === 'synced')
  const answered = () => greedy.frames.filter(frame => frame.t === 'refetch').length
  t.ok(answered() < asked / 2, `${answered()} of ${asked} came first`)
  await greedy.find(frame => frame.c === `none${asked - 1}`)
  t.equal(answered(), asked, 'it gets all of it')
})
