import t from 'tap'
import { commandBusContract } from '../../contracts/command-bus.ts'
import { startNats } from '../../harness/nats.ts'
import { openLocal, openRemote, openServer } from './bus-processes.ts'

const nats = await startNats(t)

commandBusContract('local', t, t => openLocal(t, nats))
commandBusContract('remote', t, async t => {
  await openServer(t, nats)
  await openServer(t, nats)
  return await openRemote(t, nats)
})
