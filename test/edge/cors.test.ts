import t from 'tap'
import { corsPolicy } from '../../src/edge/transports/http/cors.ts'

const named = (headers: ReturnType<ReturnType<typeof corsPolicy>['headers']>) => Object.fromEntries(headers)

t.test('a list allows its origins only, and answers always vary by origin', async t => {
  const cors = corsPolicy(['https://a.example', 'https://b.example'])
  for (const origin of ['https://a.example', 'https://b.example']) {
    t.match(named(cors.headers(origin)), {
      'access-control-allow-origin': origin,
      'access-control-expose-headers': /retry-after/,
      vary: 'origin',
    })
    t.match(named(cors.preflightHeaders(origin)), {
      'access-control-allow-methods': 'GET, POST, PUT',
      'access-control-allow-headers': 'authorization, content-type, last-event-id, range, traceparent',
      'access-control-max-age': '600',
    })
  }
  for (const origin of ['', 'https://evil.example', 'http://a.example', 'https://a.example:8443', 'null']) {
    t.same(named(cors.headers(origin)), { vary: 'origin' }, origin)
    t.same(named(cors.preflightHeaders(origin)), {}, origin)
  }
})

t.test('* allows every origin, and answers do not vary', async t => {
  const cors = corsPolicy(['*'])
  const headers = named(cors.headers('https://any.example'))
  t.equal(headers['access-control-allow-origin'], '*')
  t.notOk('vary' in headers)
  t.same(named(cors.headers('')), {}, 'a request of no browser page needs no header')
})

t.test('without origins no page of another site may call', async t => {
  const cors = corsPolicy([])
  t.same(named(cors.headers('https://any.example')), {})
  t.same(named(cors.preflightHeaders('https://any.example')), {})
})

t.test('no answer allows credentials: tokens are sent in a header', async t => {
  for (const origins of [[], ['*'], ['https://a.example']]) {
    const cors = corsPolicy(origins)
    const all = [...cors.headers('https://a.example'), ...cors.preflightHeaders('https://a.example')]
    t.notOk(all.some(([name]) => name === 'access-control-allow-credentials'))
  }
})
