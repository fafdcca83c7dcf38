import t from 'tap'
import type { TokenVerifier } from '../../src/edge/index.ts'
import { openApiDocument } from '../../src/edge/transports/http/openapi.ts'
import { createTokenVerifier } from '../../src/infra/tokens/index.ts'
import { startConfab, testSecret } from '../harness/confab.ts'
import { GrpcClient } from '../harness/grpc-client.ts'
import { noRates } from '../harness/no-rates.ts'

/** Tokens of an address at once. One more is accepted after ten seconds. */
const burst = 2

const real = await createTokenVerifier({ secret: testSecret })
let verified = 0
const tokens: TokenVerifier = {
  verify: token => {
    verified++
    return real.verify(token)
  },
}
const confab = await startConfab(t, {
  edge: { tokens, grpcPort: 0 },
  limits: { ...noRates, burstMs: burst * 10_000, addressFailures: 0.1, trustProxy: 1 },
})
const valid = await confab.token('alice')

/** Returns the code that a client at this address receives for a token. */
type Attempt = (address: string, token: string) => Promise<string>

const overHttp =
  (method: string, path: string): Attempt =>
  async (address, token) => {
    const ending = new AbortController()
    const answer = await fetch(`${confab.url}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'x-forwarded-for': address },
      signal: ending.signal,
      redirect: 'manual',
    })
    if (answer.status === 200 && path === '/v1/stream') {
      ending.abort()
      return 'ok'
    }
    const body = (await answer.json()) as { error?: { code: string } }
    return body.error?.code ?? 'ok'
  }

const { paths } = JSON.parse(openApiDocument()) as {
  paths: Record<string, Record<string, { security?: readonly unknown[] }>>
}
const attempts: Record<string, Attempt> = {
  'hello over a WebSocket': async (address, token) => {
    const socket = await confab.socket({ headers: { 'x-forwarded-for': address } })
    const code = await socket.code('hello', { token })
    socket.close()
    return code
  },
  'hello over gRPC': async (address, token) => {
    const client = new GrpcClient(confab.edge.grpcPort!, { metadata: { 'x-forwarded-for': address } })
    const code = await client.code('hello', { token })
    client.close()
    return String(code)
  },
}
for (const [path, methods] of Object.entries(paths))
  for (const [method, { security }] of Object.entries(methods))
    if (security === undefined)
      attempts[`${method} ${path}`] = overHttp(method.toUpperCase(), path.replaceAll(/\{\w+\}/g, 'x'))

let net = 0
for (const [name, attempt] of Object.entries(attempts))
  t.test(
    `an address that sends many invalid tokens is refused before their verification: ${name}`,
    async t => {
      const [bad, good] = [`192.0.${++net}.1`, `192.0.${net}.2`]
      const codes: string[] = []
      const before = verified
      for (let n = 0; n < 2 * burst; n++) codes.push(await attempt(bad, 'junk'))
      t.same(new Set(codes), new Set(['UNAUTHENTICATED', 'OVERLOADED']))
      t.equal(codes.at(-1), 'OVERLOADED')
      t.equal(verified - before, codes.filter(code => code === 'UNAUTHENTICATED').length)
      t.equal(await attempt(bad, valid), 'OVERLOADED', 'also over the other transports')
      t.equal(await attempts['hello over a WebSocket']!(bad, valid), 'OVERLOADED')
      t.not(await attempt(good, valid), 'OVERLOADED', 'other addresses are not refused')
      t.equal(await attempt(good, 'junk'), 'UNAUTHENTICATED')
    },
  )

t.test('all transports and all routes that need a token are tested', async t => {
  t.ok(Object.keys(attempts).length >= 10, Object.keys(attempts).join(', '))
  t.match(await confab.metrics(), /limit="address_failures"/)
})
