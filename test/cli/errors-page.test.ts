import { readFileSync } from 'node:fs'
import t from 'tap'
import { AuditProblem } from '../../src/audit/index.ts'
import { TlsProblem } from '../../src/base/tls-files.ts'
import { CliProblem } from '../../src/cli/command/cli-error.ts'
import { CassandraProblem } from '../../src/infra/cassandra/index.ts'
import { ElasticsearchProblem } from '../../src/infra/elasticsearch/index.ts'
import { BackupProblem } from '../../src/infra/nats/backup/index.ts'
import { NatsProblem } from '../../src/infra/nats/index.ts'
import { MediaProblem } from '../../src/media/index.ts'
import { PlanProblem } from '../../src/projections/index.ts'

const page = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8')

const registries: readonly Readonly<Record<string, string>>[] = [
  CliProblem,
  TlsProblem,
  AuditProblem,
  NatsProblem,
  BackupProblem,
  MediaProblem,
  ElasticsearchProblem,
  PlanProblem,
  CassandraProblem,
]

t.test(
  'docs/errors.md lists exactly the codes of the command line and of the servers behind confab',
  async t => {
    const codes = [...page.slice(page.indexOf('## On the command line')).matchAll(/^\| `([A-Z_]+)` \|/gm)]
    t.same(codes.map(([, code]) => code).sort(), registries.flatMap(codes => Object.values(codes)).sort())
  },
)
