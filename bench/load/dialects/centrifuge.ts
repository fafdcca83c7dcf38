import { clientFrame, firstDecimalId, readDecimal } from '../frames.ts'
import { type Dialect, firstMessage, Kind } from './dialect.ts'

const code = (character: string): number => character.charCodeAt(0)
const [p, i, e] = [code('p'), code('i'), code('e')]
const newline = 10
const pong = clientFrame(Buffer.from('{}'))
const idAt = '{"id":'.length
const idDigits = 8

interface Subscribed {
  readonly subscribe?: { readonly epoch?: string }
}

/**
 * Centrifuge's JSON protocol, one object per line: https://centrifugal.dev/docs/transports/client_protocol. An empty
 * object is a ping, and its answer.
 */
export const centrifugeDialect: Dialect = {
  greet: async (wire, { token, conversations = [], resume = {} }, listener) => {
    const commands: object[] = [
      { id: 1, connect: { token } },
      ...conversations.map((channel, n) => ({ id: n + 2, subscribe: { channel, ...resume } })),
    ]
    const last = `{"id":${commands.length},`
    const answered = firstMessage(
      centrifugeDialect,
      wire,
      text => text.includes('"error":') || text.startsWith(last),
      listener,
    )
    wire.write(clientFrame(Buffer.from(commands.map(command => JSON.stringify(command)).join('\n'))))
    const text = await answered
    if (text.includes('"error":')) throw new Error(`refused: ${text}`)
    return { epoch: (JSON.parse(text) as Subscribed).subscribe?.epoch ?? '' }
  },
  listen: (wire, listener) => {
    wire.onFrame = (bytes, start, end) => {
      for (let at = start; at < end; ) {
        const found = bytes.indexOf(newline, at)
        const lineEnd = found < 0 || found > end ? end : found
        if (lineEnd - at === 2) wire.write(pong)
        else if (lineEnd > at) listener(bytes, at, lineEnd)
        at = lineEnd + 1
      }
    }
  },
  template: channel => ({
    head: '{"id":',
    id: 'decimal',
    beforeM: `,"publish":{"channel":"${channel}","data":{"c":"${channel}","m":"`,
    beforeText: '","text":"',
    tail: '"}}}',
  }),
  kind: (bytes, start) => {
    const first = bytes[start + 2]
    if (first === p) return Kind.delivery
    if (first !== i) return Kind.other
    return bytes[start + idAt + idDigits + 2] === e ? Kind.refusal : Kind.ack
  },
  numberOf: (bytes, start) => readDecimal(bytes, start + idAt) - firstDecimalId,
  placeAfter: (last, { epoch }) => {
    const { push } = JSON.parse(last) as { push: { pub: { offset: number } } }
    return { recover: true, offset: push.pub.offset, epoch }
  },
}
