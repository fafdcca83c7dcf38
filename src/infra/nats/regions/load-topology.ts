import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readErrorText } from '../../../base/read-error-text.ts'
import { hideUrlCredentials } from '../../../base/redact.ts'
import { ownStreamsFolder, type StreamDefinition, topologyFile } from '../log/stream-definitions.ts'
import { parseTopology } from './parse-topology.ts'
import { type Topology, TopologyError } from './topology.ts'

/**
 * Reads a topology from a file. Default: confab's own `streams/topology.yaml`, which has one region. Throws
 * TopologyError.
 */
export const loadTopology = (
  definitions: readonly StreamDefinition[],
  file = join(ownStreamsFolder(), topologyFile),
): Topology => {
  let source: string
  try {
    source = readFileSync(file, 'utf8')
  } catch (error) {
    throw new TopologyError(file, [readErrorText(error)])
  }
  const topology = parseTopology(file, source, definitions)
  for (const { urls } of topology.regions) urls.forEach(hideUrlCredentials)
  return topology
}
