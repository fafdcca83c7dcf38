import { createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { connectDriver } from '../../../src/infra/cassandra/database.ts'

const opcodes = { error: 0, startup: 1, ready: 2, options: 5, supported: 6, register: 11 }
const overloaded = 0x1001
const headerBytes = 9

/**
 * The answers of a node that accepts connections and refuses to describe its cluster, as a starting or overloaded
 * node does.
 */
const answerOf = (opcode: number): readonly [number, Buffer] => {
  if (opcode === opcodes.startup || opcode === opcodes.register) return [opcodes.ready, Buffer.alloc(0)]
  if (opcode === opcodes.options) return [opcodes.supported, Buffer.alloc(2)]
  const reason = 'overloaded'
  const body = Buffer.alloc(6)
  body.writeInt32BE(overloaded, 0)
  body.writeInt16BE(reason.length, 4)
  return [opcodes.error, Buffer.concat([body, Buffer.from(reason)])]
}

const serve = (socket: Socket): void => {
  let waiting = Buffer.alloc(0)
  socket.on('error', () => {})
  socket.on('data', data => {
    waiting = Buffer.concat([waiting, data])
    while (waiting.length >= headerBytes) {
      const end = headerBytes + waiting.readInt32BE(5)
      if (waiting.length < end) return
      const [opcode, body] = answerOf(waiting[4]!)
      const header = Buffer.from(waiting.subarray(0, headerBytes))
      header[0] = header[0]! | 0x80
      header[4] = opcode
      header.writeInt32BE(body.length, 5)
      socket.write(Buffer.concat([header, body]))
      waiting = waiting.subarray(end)
    }
  })
}

const startIllNode = async (t: Test) => {
  const sockets = new Set<Socket>()
  let taken = 0
  const server = createServer(socket => {
    taken++
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    serve(socket)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return { port, open: () => sockets.size, taken: () => taken }
}

t.test('an ailing node that accepts connections keeps none, after any number of attempts', async t => {
  const node = await startIllNode(t)
  const options = { contactPoints: [`127.0.0.1:${node.port}`], dataCenter: 'dc1', keyspace: 'k' }
  for (let tries = 0; tries < 3; tries++)
    await t.rejects(connectDriver(options, 'k'), { code: /^CASSANDRA_/ })
  t.ok(node.taken() >= 3, `${node.taken()} connections were made`)
  while (node.open() > 0) await sleep(25)
})
