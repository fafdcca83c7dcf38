import fc from 'fast-check'
import t from 'tap'
import { type DraftStorage, Drafts } from '../../src/web/drafts.ts'
import type { Message } from '../../src/web/timeline.ts'

/** Storage in memory. */
const newStorage = (): DraftStorage => {
  const items = new Map<string, string>()
  return {
    getItem: key => items.get(key) ?? null,
    setItem: (key, value) => void items.set(key, value),
    removeItem: key => void items.delete(key),
    key: index => [...items.keys()][index] ?? null,
    get length() {
      return items.size
    },
  }
}

const message = (m: string): Message => ({
  kind: 'message',
  m,
  seq: 1,
  from: 'bob',
  at: '2026-11-24T08:00:00.000Z',
  text: `text of ${m}`,
  attachments: [],
  reactions: [],
  edited: false,
  deleted: false,
})

t.test('an edit takes the place of the next message and leaves it alone', async t => {
  const drafts = new Drafts('alice', newStorage())
  drafts.write('c', 'half a')
  drafts.reply('c', message('m1'))
  drafts.edit('c', message('m2'))
  drafts.write('c', 'better')
  t.match(drafts.get('c'), {
    text: 'half a',
    reply: { m: 'm1' },
    edit: { text: 'better', target: { m: 'm2' } },
  })
  drafts.cancel('c')
  t.match(drafts.get('c'), { text: 'half a', reply: { m: 'm1' }, edit: undefined })
  drafts.cancel('c')
  t.same(drafts.get('c'), { text: 'half a', unsaved: [] })
})

t.test('an open edit is not lost to another one, nor to a reply', async t => {
  const drafts = new Drafts('alice', newStorage())
  drafts.edit('c', message('m1'))
  drafts.write('c', 'changed')
  drafts.edit('c', message('m2'))
  t.match(drafts.get('c'), {
    edit: { target: { m: 'm2' } },
    unsaved: [{ target: { m: 'm1' }, text: 'changed' }],
  })
  drafts.reply('c', message('m3'))
  t.match(drafts.get('c'), { reply: { m: 'm3' }, edit: undefined, unsaved: [{ target: { m: 'm1' } }] })
  t.equal(drafts.get('c').unsaved.length, 1, 'an unchanged edit is dropped')
})

t.test('a refused edit returns to the composer, or waits beside another text', async t => {
  const drafts = new Drafts('alice', newStorage())
  drafts.edit('c', message('m1'))
  drafts.write('c', 'first')
  const first = drafts.submit('c')!
  t.match(drafts.get('c'), { edit: undefined, unsaved: [{ text: 'first' }] }, 'kept until it is saved')
  drafts.refused('c', first, 'No.')
  t.match(drafts.get('c'), { edit: { text: 'first', problem: 'No.' }, unsaved: [] })

  drafts.submit('c')
  drafts.write('c', 'something else')
  drafts.refused('c', first, 'No.')
  t.match(drafts.get('c'), {
    text: 'something else',
    edit: undefined,
    unsaved: [{ text: 'first', problem: 'No.' }],
  })
  drafts.resume('c', 'm1')
  t.match(drafts.get('c'), { text: 'something else', edit: { text: 'first' }, unsaved: [] })
  drafts.submit('c')
  drafts.saved('c', 'm1')
  t.same(drafts.get('c'), { text: 'something else', unsaved: [] })
})

t.test('drafts belong to a user, and end when the user signs out', async t => {
  const storage = newStorage()
  const drafts = new Drafts('alice', storage)
  drafts.write('c', 'mine')
  t.equal(new Drafts('alic', storage).get('c').text, '')
  t.equal(new Drafts('bob', storage).get('c').text, '')
  t.equal(new Drafts('alice', storage).get('c').text, 'mine')
  drafts.clear()
  t.equal(storage.length, 0)
  t.equal(drafts.get('c').text, '')
})

t.test('without storage, with a full one, or with foreign content drafts are kept in memory', async t => {
  const full: DraftStorage = {
    ...newStorage(),
    setItem: () => {
      throw new Error('full')
    },
  }
  const foreign = newStorage()
  foreign.setItem('confab.draft.alice.c', '{"text":1}')
  foreign.setItem('confab.draft.alice.d', 'x')
  for (const storage of [undefined, full, foreign]) {
    const drafts = new Drafts('alice', storage)
    t.same(drafts.get('c'), { text: '', unsaved: [] })
    drafts.write('c', 'kept')
    t.equal(drafts.get('c').text, 'kept')
  }
})

t.test('property: a reload changes nothing but edits without an answer', async () => {
  const m = fc.constantFrom('m1', 'm2')
  const step = fc.oneof(
    fc.record({ do: fc.constant('write' as const), text: fc.string() }),
    fc.record({
      do: fc.constantFrom('reply' as const, 'edit' as const, 'saved' as const, 'resume' as const),
      m,
    }),
    fc.record({ do: fc.constantFrom('cancel' as const, 'submit' as const, 'sent' as const) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), steps => {
      const storage = newStorage()
      const drafts = new Drafts('alice', storage)
      for (const each of steps)
        if (each.do === 'write') drafts.write('c', each.text)
        else if (each.do === 'reply' || each.do === 'edit') drafts[each.do]('c', message(each.m))
        else if (each.do === 'saved' || each.do === 'resume') drafts[each.do]('c', each.m)
        else drafts[each.do]('c')
      const before = drafts.get('c')
      const after = new Drafts('alice', storage).get('c')
      const isSame = JSON.stringify({ ...after, unsaved: [] }) === JSON.stringify({ ...before, unsaved: [] })
      const texts = (draft: typeof before) => draft.unsaved.map(({ target, text }) => `${target.m} ${text}`)
      return (
        isSame &&
        JSON.stringify(texts(after)) === JSON.stringify(texts(before)) &&
        after.unsaved.every(({ problem }) => problem !== undefined)
      )
    }),
  )
})
