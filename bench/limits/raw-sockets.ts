/**
 * uWebSockets.js and nothing else. `/topic`: what a socket sends is answered, and published to all of `/topic` as a frame of as many bytes as the second argument says.
 * `/idle`: a socket that is there.
 */
import { loadUws } from '../../src/infra/uws/index.ts'
import { SendLayout } from '../load/frames.ts'

const frameBytes = Number(process.argv[2] ?? 0)
const uws = loadUws()
const app = uws.App()
const filling = Buffer.alloc(frameBytes, ' ')

app.ws('/topic', {
  open: socket => {
    socket.subscribe('all')
  },
  message: (socket, message) => {
    const sent = Buffer.from(message)
    sent.copy(filling)
    app.publish('all', filling)
    socket.send(`{"re":"${sent.toString('latin1', SendLayout.id.start, SendLayout.id.end)}","ok":true}`)
  },
})
app.ws('/idle', {})
app.listen('127.0.0.1', 0, socket => {
  if (!socket) throw new Error('cannot listen')
  process.send?.({ port: uws.us_socket_local_port(socket) })
})
for (const end of ['disconnect', 'SIGTERM']) process.on(end, () => process.exit())
