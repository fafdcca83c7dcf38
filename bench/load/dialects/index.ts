import { centrifugeDialect } from './centrifuge.ts'
import { confabDialect } from './confab.ts'
import { socketIoDialect } from './socket-io.ts'

export { type Dialect, type Kept, Kind } from './dialect.ts'

export const dialects = {
  confab: confabDialect,
  'socket.io': socketIoDialect,
  centrifuge: centrifugeDialect,
} as const

export type DialectName = keyof typeof dialects
