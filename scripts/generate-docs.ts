import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as protocol from './generate/protocol.ts'

/** Generators of pages: each has the `path` of its page and `generate`, which returns the text. */
const generators = [protocol]

/** Writes the generated pages. Tests fail when one of them is out of date. */
for (const { path, generate } of generators) writeFileSync(join(import.meta.dirname, '..', path), generate())
