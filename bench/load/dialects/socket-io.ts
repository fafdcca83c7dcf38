import { clientFrame, firstDecimalId, readDecimal } from '../frames.ts'
import type { WireSocket } from '../wire-socket.ts'
import { type Dialect, firstMessage, Kind } from './dialect.ts'

/**
 * Engine.IO packets, and Socket.IO packets after a 4: https://socket.io/docs/v4/engine-io-protocol/ and
 * https://socket.io/docs/v4/socket-io-protocol/.
 */
const [connect, connectError] = ['40', '44']
const pong = clientFrame(Buffer.from('3'))
const [ping, message, event, ack] = [0x32, 0x34, 0x32, 0x33]

const say = (wire: WireSocket, text: string): void => wire.write(clientFrame(Buffer.from(text)))

/**
 * Socket.IO 4, with the WebSocket transport from the start. The server joins the rooms that the client names
 * (bench/peers/socket-io.js).
 */
export const socketIoDialect: Dialect = {
  greet: async (wire, { token, conversations = [], resume }, listener) => {
    // The server's `open` arrives with the upgrade, before a listener exists; nothing in it is needed.
    // Missed messages arrive before.
    const connected = firstMessage(
      socketIoDialect,
      wire,
      text => text.startsWith(connect) || text.startsWith(connectError),
      listener,
    )
    say(wire, `${connect}${JSON.stringify({ token, rooms: conversations, ...resume })}`)
    const text = await connected
    if (!text.startsWith(connect)) throw new Error(`connect was refused: ${text}`)
    return JSON.parse(text.slice(connect.length)) as { sid: string; pid: string }
  },
  listen: (wire, listener) => {
    wire.onFrame = (bytes, start, end) => {
      if (bytes[start] === ping && end === start + 1) wire.write(pong)
      else listener(bytes, start, end)
    }
  },
  // 42<id>["send",{…}], answered by 43<id>[…].
  template: c => ({
    head: '42',
    id: 'decimal',
    beforeM: `["send",{"c":"${c}","m":"`,
    beforeText: '","text":"',
    tail: '"}]',
  }),
  kind: (bytes, start) => {
    if (bytes[start] !== message) return Kind.other
    const type = bytes[start + 1]
    return type === event ? Kind.delivery : type === ack ? Kind.ack : Kind.other
  },
  numberOf: (bytes, start) => readDecimal(bytes, start + 2) - firstDecimalId,
  // Connection state recovery: the last argument of an event is its offset.
  placeAfter: (last, { pid }) => ({ pid, offset: (JSON.parse(last.slice(2)) as string[]).at(-1) }),
}
