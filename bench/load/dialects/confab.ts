import { readHex, SendLayout, sendTemplate } from '../frames.ts'
import { ask, listenRaw } from '../requests.ts'
import { type Dialect, Kind } from './dialect.ts'

const code = (character: string): number => character.charCodeAt(0)
const [r, t, e, i] = [code('r'), code('t'), code('e'), code('i')]

/**
 * confab's protocol, `confab.v1.json`. The limits use it too: they answer like confab and deliver the request itself.
 */
export const confabDialect: Dialect = {
  subprotocol: 'confab.v1.json',
  greet: async (wire, { token, resume }, listener) => {
    await ask(wire, { id: 'hello', t: 'hello', token, ...resume }, listener)
    return {}
  },
  listen: listenRaw,
  template: sendTemplate,
  kind: (bytes, start) => {
    const first = bytes[start + 2]
    if (first === r) return bytes[start + SendLayout.id.end + 7] === t ? Kind.ack : Kind.refusal
    return first === i || (first === t && bytes[start + 6] === e) ? Kind.delivery : Kind.other
  },
  numberOf: (bytes, start) => readHex(bytes, start + SendLayout.id.start, start + SendLayout.id.end),
  placeAfter: last => {
    const { c, seq } = JSON.parse(last) as { c: string; seq: number }
    return { resume: { [c]: seq } }
  },
}
