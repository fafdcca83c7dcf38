/**
 * `npm run bench [-- <name…>] [--quick] [--json <file>]`: measures how close each path is to the machine's limit. The
 * table goes to standard output, progress to standard error. Exit code 0 when every row could be measured, whether or
 * not it met its target; 1 when one failed.
 */
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { Command } from 'commander'
import { measure } from './measure.ts'
import type { Outcome, Row } from './row.ts'
import { SkippedRow } from './row.ts'
import { groups, rows } from './rows/index.ts'
import { drawTable } from './table.ts'

interface Flags {
  readonly json?: string
  readonly quick?: true
  readonly rounds?: string
}

const tell = (text: string): void => {
  process.stderr.write(`${text}\n`)
}

const named = new Map<string, readonly Row[]>([
  ...[...rows, ...Object.values(groups).flat()].map(row => [row.name, [row]] as const),
  ...Object.entries(groups),
])

/**
 * Returns the requested rows, each once, in the order of the lists; without names, those that belong to no group,
 * because groups take long.
 */
const chosen = (names: readonly string[]): readonly Row[] =>
  names.length === 0 ? rows : [...new Set(names.flatMap(name => named.get(name) ?? []))]

const program = new Command('bench')
  .argument(
    '[names...]',
    `rows to run, or groups of them: ${[...named.keys()].join(', ')}; default: ${rows.map(({ name }) => name).join(', ')}`,
  )
  .option('--json <file>', 'write the outcomes to a file')
  .option('--quick', 'two short rounds of each')
  .option('--rounds <n>', 'rounds of each side; default 5')
  .action(async (names: string[], flags: Flags) => {
    const unknown = names.filter(name => !named.has(name))
    if (unknown.length > 0) program.error(`no such row: ${unknown.join(', ')}`)
    const quick = flags.quick === true
    const rounds = Number(flags.rounds ?? (quick ? 2 : 5))
    if (!Number.isInteger(rounds) || rounds < 1) program.error('--rounds takes a whole number from 1')
    const outcomes: Outcome[] = []
    const failed: string[] = []
    const skipped: string[] = []
    tell(
      `${cpus().length} cores, ${cpus()[0]?.model ?? 'unknown'}; Node ${process.versions.node}; medians of ${rounds}`,
    )
    for (const row of chosen(names)) {
      const startedAt = performance.now()
      tell(`\n${row.name}`)
      try {
        outcomes.push(...(await measure(row, rounds, { quick, tell: text => tell(`  ${text}`) })))
      } catch (error) {
        if (SkippedRow.is(error)) {
          skipped.push(`${row.name} (${error.message})`)
          continue
        }
        failed.push(row.name)
        tell(`  failed: ${error instanceof Error ? error.stack : String(error)}`)
      }
      tell(`  ${((performance.now() - startedAt) / 1000).toFixed(0)} s`)
    }
    process.stdout.write(`${drawTable(outcomes)}\n`)
    if (skipped.length > 0) process.stdout.write(`skipped: ${skipped.join(', ')}\n`)
    if (failed.length > 0) process.stdout.write(`could not be measured: ${failed.join(', ')}\n`)
    if (flags.json !== undefined) writeFileSync(flags.json, `${JSON.stringify(outcomes, undefined, 2)}\n`)
    process.exitCode = failed.length > 0 ? 1 : 0
  })

await program.parseAsync()
