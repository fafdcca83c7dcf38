/**
 * A minimal chat server on Socket.IO, in memory: clients with a token join rooms and send to them. JavaScript, since its types come with an install of its own
 * (package.json). `recovery` keeps what was sent for those who come back.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { createServer } from 'node:http'
import { Server } from 'socket.io'

const secret = process.env.BENCH_JWT_SECRET ?? ''
const recovery = process.argv[2] === 'recovery'

/** The user of a JWT signed by HS256; throws when it is not valid. */
const userOf = token => {
  const end = token.lastIndexOf('.')
  const signature = createHmac('sha256', secret).update(token.slice(0, end)).digest()
  const given = Buffer.from(token.slice(end + 1), 'base64url')
  if (given.length !== signature.length || !timingSafeEqual(given, signature)) throw new Error('not signed')
  const { sub, exp } = JSON.parse(
    Buffer.from(token.slice(token.indexOf('.') + 1, end), 'base64url').toString(),
  )
  if (!(exp > Date.now() / 1000)) throw new Error('expired')
  return sub
}

const http = createServer()
const io = new Server(http, {
  transports: ['websocket'],
  serveClient: false,
  ...(recovery ? { connectionStateRecovery: { skipMiddlewares: false } } : {}),
})
io.use((socket, next) => {
  try {
    socket.data.user = userOf(socket.handshake.auth.token)
    next()
  } catch (error) {
    next(error)
  }
})
io.on('connection', socket => {
  if (!socket.recovered) socket.join(socket.handshake.auth.rooms)
  socket.on('send', (message, answer) => {
    io.to(message.c).emit('message', message)
    answer({ ok: true })
  })
})
http.listen(0, '127.0.0.1', () => process.send({ port: http.address().port }))
for (const end of ['disconnect', 'SIGTERM']) process.on(end, () => process.exit())
