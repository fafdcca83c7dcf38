import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import type { Outcome } from '../../bench/row.ts'
import { tempFolder } from '../harness/temp-folder.ts'

const root = resolve(import.meta.dirname, '../..')

/** Rows that together start every limit and every generator that needs no further server. */
const rows = ['append', 'sends', 'fan-out', 'interest', 'projections', 'replay', 'cold', 'start']

t.test('rows of the benchmarks can be measured', { timeout: 300_000 }, async t => {
  const json = join(tempFolder(t), 'bench.json')
  const args = ['bench/main.ts', '--quick', '--json', json, ...rows]
  // It exits with 1 when a row fails.
  await promisify(execFile)(process.execPath, args, { cwd: root })
  const outcomes = JSON.parse(readFileSync(json, 'utf8')) as Outcome[]
  t.ok(outcomes.length >= rows.length)
  for (const { path, ours } of outcomes) t.ok(ours > 0, path)
})
