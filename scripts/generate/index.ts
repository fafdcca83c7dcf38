import * as configuration from './configuration.ts'
import * as protocol from './protocol.ts'

/** A page of docs/ that is generated from the code. */
export interface GeneratedPage {
  /** Relative to the root of the repository. */
  readonly path: string
  /** Returns the whole page. */
  readonly generate: () => string
}

/** All generated pages; a test compares each with the file in docs/. */
export const generatedPages: readonly GeneratedPage[] = [configuration, protocol]
