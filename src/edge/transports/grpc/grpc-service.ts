import { join } from 'node:path'
import type { ServiceDefinition } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'

const { 'confab.v1.Confab': loaded } = loadSync(join(import.meta.dirname, 'confab.proto'), {
  longs: Number,
  // What is not sent is empty, unless it is `optional`: then it is not there, as in the protocol.
  defaults: true,
})
const { Session } = loaded as ServiceDefinition

/** A `Request` of its bytes. Throws when they are none. */
export const readRequest = (bytes: Buffer): Record<string, unknown> =>
  Session!.requestDeserialize(bytes) as Record<string, unknown>

/** The bytes of a `Frame`; fields that it has not are left out. */
export const writeFrame = (frame: object): Buffer => Session!.responseSerialize(frame)

const asItIs = (bytes: Buffer): Buffer => bytes

/** The service, its messages as bytes: what is wrong with one is answered, and what goes to many is written once. */
export const service: ServiceDefinition = {
  Session: {
    ...Session!,
    requestSerialize: asItIs,
    requestDeserialize: asItIs,
    responseSerialize: asItIs,
    responseDeserialize: asItIs,
  },
}
