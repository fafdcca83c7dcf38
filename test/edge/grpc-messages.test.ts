import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { decodeRequest } from '../../src/edge/transports/grpc/grpc-messages.ts'
import { Hello, Requests } from '../../src/events/index.ts'
import { type Fields, requestsOfType } from '../fuzz/arbitrary-requests.ts'
import { messageOf } from '../fuzz/grpc-lane.ts'

/** Lists that count as missing when they are empty. */
const withoutEmpty = (fields: Fields): Fields => {
  const given = { ...fields }
  for (const name of ['resume', 'seen', 'attachments'])
    if (
      given[name] !== undefined &&
      typeof given[name] === 'object' &&
      Object.keys(given[name]!).length === 0
    )
      delete given[name]
  return given
}

for (const type of Object.keys({ ...Requests, hello: Hello }))
  t.test(`a message of ${type} has the fields of its request, whichever are set`, async t => {
    fc.assert(
      fc.property(requestsOfType(type), request => {
        const decoded = decodeRequest(messageOf(request))
        const expected = withoutEmpty(JSON.parse(JSON.stringify(request)) as Fields)
        if (!isDeepStrictEqual(JSON.parse(JSON.stringify(decoded)), expected))
          throw new Error(`${JSON.stringify(decoded)} instead of ${JSON.stringify(expected)}`)
      }),
      { numRuns: 200 },
    )
    t.pass()
  })
