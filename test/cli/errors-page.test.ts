import { readFileSync } from 'node:fs'
import t from 'tap'
import { CliProblem } from '../../src/cli/cli-error.ts'
import { MediaProblem } from '../../src/commands/index.ts'
import { NatsProblem } from '../../src/infra/nats/index.ts'

const page = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8')

t.test(
  'docs/errors.md lists every code of the command line, of NATS and of the store of media, and no other',
  async t => {
    const codes = [...page.slice(page.indexOf('## From the command line')).matchAll(/^\| `([A-Z_]+)` \|/gm)]
    t.same(
      codes.map(([, code]) => code).sort(),
      [...Object.values(CliProblem), ...Object.values(NatsProblem), ...Object.values(MediaProblem)].sort(),
    )
  },
)
