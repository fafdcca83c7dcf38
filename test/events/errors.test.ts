import { readFileSync } from 'node:fs'
import t from 'tap'
import { CloseCode, ConfabError, ErrorRegistry, Limits } from '../../src/events/index.ts'

const page = (name: string) => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8')

t.test('docs/errors.md lists every code with its status and retryability, and no other', async t => {
  const rows = [...page('errors.md').matchAll(/^\| `([A-Z_]+)` \| (\d+) \| (yes|no) \|/gm)]
  t.same(
    Object.fromEntries(
      rows.map(([, code, status, retry]) => [code, { status: Number(status), retryable: retry === 'yes' }]),
    ),
    Object.fromEntries(
      Object.entries(ErrorRegistry).map(([code, { status, retryable }]) => [code, { status, retryable }]),
    ),
  )
})

t.test('docs/errors.md lists every close code', async t => {
  const rows = [...page('errors.md').matchAll(/^\| (\d{4}) \|/gm)].map(([, code]) => Number(code))
  t.same(rows.sort(), Object.values(CloseCode).sort())
})

t.test('docs/protocol.md gives every limit its number', async t => {
  const rows = [...page('protocol.md').matchAll(/^\| `(\w+)` \| ([\d,]+) \|/gm)]
  t.same(Object.fromEntries(rows.map(([, name, number]) => [name, Number(number!.replaceAll(',', ''))])), {
    ...Limits,
  })
})

t.test('an error’s body contains what a client needs, and no more', async t => {
  t.same(new ConfabError('NOT_FOUND').toBody(), {
    code: 'NOT_FOUND',
    message: ErrorRegistry.NOT_FOUND.message,
    retryable: false,
  })
  const limited = new ConfabError('RATE_LIMITED', 'Slow down.', {
    retryAfterMs: 250,
    cause: new Error('secret'),
  })
  t.same(limited.toBody(), {
    code: 'RATE_LIMITED',
    message: 'Slow down.',
    retryable: true,
    retryAfterMs: 250,
  })
  t.notMatch(JSON.stringify(limited.toBody()), /secret/)
  t.ok(ConfabError.is(limited))
  t.notOk(ConfabError.is(new Error('x')))
})
