import { loadStreams } from '../../src/infra/nats/log/stream-definitions.ts'
import { rightsFile } from '../../src/infra/nats/rights/rights-file.ts'

export const path = 'nats/rights.conf'

/** Returns the rights of the NATS users, for the streams in `streams/`. */
export const generate = (): string => rightsFile(loadStreams())
