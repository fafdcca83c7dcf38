import * as configuration from './configuration.ts'
import * as natsRights from './nats-rights.ts'
import * as protocol from './protocol.ts'

/** A page of docs/, or a configuration, that is generated from the code. */
export interface GeneratedPage {
  /** Relative to the root of the repository. */
  readonly path: string
  /** Returns the whole page. */
  readonly generate: () => string
}

/** All generated pages; a test compares each with its file. */
export const generatedPages: readonly GeneratedPage[] = [configuration, natsRights, protocol]
