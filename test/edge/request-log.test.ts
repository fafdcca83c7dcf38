import t from 'tap'
import { startConfab } from '../harness/confab.ts'

t.test('a request is found in the log by its id, and its event by its position', async t => {
  const confab = await startConfab(t)
  const alice = await confab.connect('alice')
  const { session } = alice.frames[0] as { session: string }
  const made = await alice.request('create', { c: 'tea', kind: 'group', members: [] })
  const said = await alice.request('send', { c: 'tea', m: 'm1', text: 'a private word' })
  const lost = await alice.request('history', { c: 'nowhere' })
  const token = await confab.token('alice')
  await fetch(`${confab.url}/v1/commands`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
    body: JSON.stringify({ id: 'http', t: 'send', c: 'tea', m: 'm2', text: 'a private word' }),
  })
  const line = (re: unknown) => confab.logged.find(fields => fields.re === re)
  t.match(line(made.re), { session, request: 'create', c: 'tea', seq: 1, outcome: 'ok' })
  t.match(line(said.re), { session, request: 'send', c: 'tea', seq: 2, outcome: 'ok' })
  t.match(line(lost.re), { session, request: 'history', c: 'nowhere', outcome: 'NOT_FOUND' })
  t.match(line('http'), { request: 'send', c: 'tea', seq: 3, outcome: 'ok' })
  t.notMatch(JSON.stringify(confab.logged), /private|eyJ|127\.0\.0\.1/, 'no text, token or address')
})

t.test('a defect is logged under its request', async t => {
  const confab = await startConfab(t, {
    wrapViews: views => ({
      ...views,
      inbox: { ...views.inbox, page: () => Promise.reject(new Error('broken')) },
    }),
  })
  const alice = await confab.connect('alice')
  const answer = await alice.request('inbox')
  t.match(answer, { ok: false, error: { code: 'INTERNAL' } })
  const error = confab.logged.find(fields => fields.message === 'request failed')
  t.match(error, { re: answer.re, request: 'inbox', err: { message: 'broken' } })
})
