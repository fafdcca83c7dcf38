import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { generatedPages } from '../../scripts/generate/index.ts'

const root = join(import.meta.dirname, '../..')

for (const { path, generate } of generatedPages)
  t.test(`${path} is up to date (node scripts/generate-docs.ts)`, async t => {
    t.equal(readFileSync(join(root, path), 'utf8'), generate())
  })
