import { TimeoutError } from '@nats-io/transport-node'
import t from 'tap'
import { retryRequest } from '../../../src/infra/nats/client/jetstream-api.ts'
import { NatsError } from '../../../src/infra/nats/client/nats-error.ts'

t.test('what is not answered is asked again, up to a bound', async t => {
  let asked = 0
  const answer = await retryRequest('the bucket b', async () => {
    if (++asked < 3) throw new TimeoutError()
    return 'here'
  })
  t.equal(answer, 'here')
  t.equal(asked, 3)
  asked = 0
  const never = retryRequest('the bucket b', async () => {
    asked++
    throw new TimeoutError()
  })
  await t.rejects(never, { code: 'NATS_SERVER_FAILED', message: 'the bucket b cannot be used: timeout' })
  t.equal(asked, 6)
})

t.test('what is refused is not', async t => {
  let asked = 0
  const refused = (error: Error) =>
    retryRequest('JetStream', async () => {
      asked++
      throw error
    })
  await t.rejects(refused(new Error('no')), {
    code: 'NATS_SERVER_FAILED',
    message: 'JetStream cannot be used: no',
  })
  const own = new NatsError('NATS_STREAMS', 'no stream takes it')
  await t.rejects(refused(own), own)
  t.equal(asked, 2)
})
