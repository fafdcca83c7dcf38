import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { generatedPages } from './generate/index.ts'

/** Writes the generated pages of docs/. Run it after a change of an option or of a schema. */
const root = join(import.meta.dirname, '..')
for (const { path, generate } of generatedPages) {
  writeFileSync(join(root, path), generate())
  console.log(path)
}
