import { loadStreams } from '../../src/infra/nats/log/stream-definitions.ts'
import { edgeRightsFile } from '../../src/infra/nats/rights/rights-file.ts'

export const path = 'nats/edge-rights.conf'

/** Returns the rights of edge nodes at an edge site, for the streams in `streams/`. */
export const generate = (): string => edgeRightsFile(loadStreams())
