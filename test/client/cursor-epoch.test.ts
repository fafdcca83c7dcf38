import t from 'tap'
import { CursorEpoch } from '../../src/client/cursor-epoch.ts'
import { Outbox } from '../../src/client/outbox.ts'

t.test('the epoch rises when every cursor is checked', async t => {
  const epoch = new CursorEpoch(1)
  epoch.resumed(3, ['a', 'b'])
  epoch.checked('a')
  epoch.risen(4)
  t.equal(epoch.value, 1, 'a connection that ends now leaves b unchecked')
  epoch.resumed(4, ['a', 'b'])
  epoch.checked('b')
  epoch.checked('a')
  t.equal(epoch.value, 4)
  epoch.risen(6)
  t.equal(epoch.value, 6)
  epoch.resumed(5, ['a'])
  t.equal(epoch.value, 6, 'a server that is behind')
})

t.test('after a loss, acknowledged messages disappear and the others stay', async t => {
  const pending = Promise.withResolvers<{ seq: number; at: string; duplicate: boolean }>()
  const outbox = new Outbox({
    request: ({ m }) =>
      m === 'acked' ? Promise.resolve({ seq: 7, at: 'x', duplicate: false }) : pending.promise,
    isOpen: () => true,
    cursor: () => 5,
    retryForMs: 1_000,
    changed() {},
  })
  await outbox.add({ c: 'c', m: 'acked', text: 'x' })
  void outbox.add({ c: 'c', m: 'waits', text: 'x' })
  t.same(
    outbox.list('c').map(({ m }) => m),
    ['acked', 'waits'],
  )
  outbox.lost('c')
  t.same(
    outbox.list('c').map(({ m }) => m),
    ['waits'],
  )
})
