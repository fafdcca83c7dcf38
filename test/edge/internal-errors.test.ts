import t from 'tap'
import { FailureLog } from '../../src/commands/states/state-reader.ts'
import { visibleError } from '../../src/edge/requests/answers.ts'
import { ConfabError, InvalidNameError } from '../../src/events/index.ts'
import { decodeAnswer, encodeFailure } from '../../src/infra/nats/commands/command-wire.ts'
import type { Views } from '../../src/projections/index.ts'
import { startConfab } from '../harness/confab.ts'
import { GrpcClient } from '../harness/grpc-client.ts'

const defect = (): never => {
  throw new TypeError('a defect of this test')
}

/** Views whose search and inbox fail with an error that has no code. */
const wrapViews = (views: Views): Views =>
  Object.assign(Object.create(views), {
    search: { search: defect },
    inbox: { page: defect, item: defect, undelivered: defect },
    positions: views.positions.bind(views),
  }) as Views

const failures = (logged: readonly Record<string, unknown>[]): string[] =>
  logged.filter(({ err }) => err !== undefined).map(({ err }) => (err as Error).message)

t.test('an INTERNAL is logged once, with its cause, on every transport', async t => {
  const confab = await startConfab(t, { wrapViews, edge: { grpcPort: 0 } })
  const alice = await confab.connect('alice')
  const token = await confab.token('alice')
  const headers = { authorization: `Bearer ${token}` }
  const grpc = new GrpcClient(confab.edge.grpcPort!)
  t.teardown(() => grpc.call.cancel())
  await grpc.ok('hello', { token })
  const post = async (request: object) => {
    const answer = await fetch(`${confab.url}/v1/commands`, {
      method: 'POST',
      headers,
      body: JSON.stringify(request),
    })
    return ((await answer.json()) as { error?: { code: string } }).error?.code
  }
  const get = async (path: string) => {
    const answer = await fetch(`${confab.url}${path}`, { headers })
    return ((await answer.json()) as { error?: { code: string } }).error?.code
  }
  for (const [name, ask] of [
    ['search over a WebSocket', () => alice.code('search', { q: 'x' })],
    ['inbox over a WebSocket', () => alice.code('inbox')],
    [
      'inbox over gRPC',
      async () => ((await grpc.request('inbox')).error as { code?: string } | undefined)?.code,
    ],
    ['inbox in a body', () => post({ id: '1', t: 'inbox' })],
    ['inbox as a query', () => get('/v1/inbox')],
    ['undelivered as a query', () => get('/v1/undelivered')],
  ] as const) {
    const before = failures(confab.logged).length
    t.equal(await ask(), 'INTERNAL', name)
    t.same(failures(confab.logged).slice(before), ['a defect of this test'], name)
  }
})

t.test('an INTERNAL of the command bus is logged by the bus alone', async t => {
  const logged: unknown[] = []
  const failures = new FailureLog({ error: (fields: object) => void logged.push(fields) })
  const cause = new TypeError('a defect')
  failures.report(cause, {})
  const seen: unknown[] = []
  const logger = { debug() {}, info() {}, warn() {}, error: (fields: object) => void seen.push(fields) }
  t.match(visibleError(ConfabError.from(cause), logger, {}), { code: 'INTERNAL' })
  t.equal(logged.length, 1)
  t.same(seen, [], 'the edge does not repeat it')
  t.match(visibleError(new ConfabError('INTERNAL'), logger, {}), {
    code: 'INTERNAL',
    message: 'Internal error.',
  })
  t.equal(seen.length, 1, 'an INTERNAL without a cause is logged as it is')
  t.match(visibleError(new InvalidNameError('an id'), logger, { request: 'x' }), { code: 'INTERNAL' })
  t.match(seen[1], { request: 'x', err: { code: 'INVALID_NAME' } })
  visibleError(new ConfabError('NOT_FOUND'), logger, {})
  t.equal(seen.length, 2, 'refusals are not logged')
})

t.test('an INTERNAL from a commands node is logged there alone', async t => {
  const seen: unknown[] = []
  const logger = { debug() {}, info() {}, warn() {}, error: (fields: object) => void seen.push(fields) }
  const answered = (bytes: string): unknown => {
    try {
      return decodeAnswer(Buffer.from(bytes))
    } catch (error) {
      return error
    }
  }
  t.match(visibleError(answered(encodeFailure(new ConfabError('INTERNAL').toBody())), logger, {}), {
    code: 'INTERNAL',
  })
  t.same(seen, [])
  t.match(visibleError(answered('not JSON'), logger, {}), { code: 'INTERNAL' })
  t.equal(seen.length, 1, 'an answer that cannot be read is a failure of this node')
})
