/**
 * A process that records actions. Arguments: servers, name, number of actions. With the number 0 it starts one action
 * that never ends, and prints `started`.
 */
import { AuditTrail } from '../../../src/audit/index.ts'
import { AuditStream, connectNats } from '../../../src/infra/nats/index.ts'

const [, , servers = '', name = '', actions = ''] = process.argv
const nats = await connectNats({ servers })
const trail = new AuditTrail({
  log: new AuditStream(nats),
  actor: { actor: `operator:${name}` },
  process: `test/${process.pid}`,
  onUnrecorded: error => {
    throw error
  },
})
if (actions === '0')
  await trail.perform('projections.drop', { target: 'projection:search/1' }, async () => {
    process.stdout.write('started\n')
    await new Promise(resolve => setTimeout(resolve, 1_000_000))
  })
for (let n = 1; n <= Number(actions); n++)
  await trail.perform('projections.pause', { params: { n } }, async report => report({ n }))
await nats.close()
