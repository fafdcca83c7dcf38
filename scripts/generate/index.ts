import * as configuration from './configuration.ts'
import * as edgeRights from './edge-rights.ts'
import * as helmReadme from './helm-readme.ts'
import * as helmValues from './helm-values.ts'
import * as natsRights from './nats-rights.ts'
import * as protocol from './protocol.ts'

/** A file that is generated from the code. */
export interface GeneratedPage {
  /** Relative to the root of the repository. */
  readonly path: string
  /** Returns the whole file. */
  readonly generate: () => string
}

/** All generated files; a test compares each with the one in the repository. */
export const generatedPages: readonly GeneratedPage[] = [
  configuration,
  protocol,
  natsRights,
  edgeRights,
  helmValues,
  helmReadme,
]
