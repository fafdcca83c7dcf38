/**
 * uWebSockets.js alone. `/topic/<n>,<n>…`: a socket that subscribes to these conversations; a message it sends is
 * answered, and published to its conversation as a frame of the size given as the second argument (default:
 * unchanged). `/missed/<n>`: the first message is answered like `hello`, with n events. `/idle`: a socket without
 * traffic.
 */
import { loadUws } from '../../src/infra/uws/index.ts'
import { conversationId, SendLayout } from '../load/frames.ts'

const frameBytes = Number(process.argv[2] ?? 0)
const uws = loadUws()
const app = uws.App()
const { id, c } = SendLayout

const filling = Buffer.alloc(frameBytes, ' ')

/** Padded with spaces, which JSON allows at the end. */
const padded = (sent: Buffer): Buffer => {
  if (sent.length >= frameBytes) return sent
  sent.copy(filling)
  return filling
}

app.ws<{ topics: readonly string[] }>('/topic/:numbers', {
  maxPayloadLength: 64 * 1024,
  maxBackpressure: 64 * 1024 * 1024,
  upgrade: (response, request, context) => {
    const numbers = request.getParameter(0) ?? ''
    response.upgrade(
      { topics: numbers.split(',').map(number => conversationId(Number(number))) },
      request.getHeader('sec-websocket-key'),
      request.getHeader('sec-websocket-protocol'),
      request.getHeader('sec-websocket-extensions'),
      context,
    )
  },
  open: socket => {
    for (const topic of socket.getUserData().topics) socket.subscribe(topic)
  },
  message: (socket, message) => {
    const sent = Buffer.from(message)
    app.publish(sent.toString('latin1', c.start, c.end), padded(sent))
    socket.send(`{"re":"${sent.toString('latin1', id.start, id.end)}","ok":true}`)
  },
})

const missedEvent = (n: number): string =>
  `{"t":"event","m":"00000000-0000-7000-8000-${n.toString(16).padStart(12, '0')}","text":""}`.padEnd(
    frameBytes,
  )

app.ws<{ missed: number }>('/missed/:count', {
  upgrade: (response, request, context) => {
    response.upgrade(
      { missed: Number(request.getParameter(0)) },
      request.getHeader('sec-websocket-key'),
      request.getHeader('sec-websocket-protocol'),
      request.getHeader('sec-websocket-extensions'),
      context,
    )
  },
  message: socket => {
    socket.send('{"re":"hello","ok":true}')
    for (let n = 0; n < socket.getUserData().missed; n++) socket.send(missedEvent(n))
  },
})
app.ws('/idle', {})
app.listen('127.0.0.1', 0, socket => {
  if (!socket) throw new Error('cannot listen')
  process.send?.({ port: uws.us_socket_local_port(socket) })
})
for (const end of ['disconnect', 'SIGTERM']) process.on(end, () => process.exit())
