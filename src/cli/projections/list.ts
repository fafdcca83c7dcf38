import { Command } from 'commander'
import type { OpenNats } from '../../app/open-nats.ts'
import type { ConfabConfig } from '../../infra/config/index.ts'
import { readDeadLetters } from '../../infra/nats/index.ts'
import type { ProjectionState } from '../../projections/index.ts'
import { CliError } from '../command/cli-error.ts'
import { reads } from '../command/command-effect.ts'
import { addSystemOptions, type SystemFlags } from '../command/config-flags.ts'
import { count, note, print, span, styled, table } from '../terminal/output.ts'
import { type GenerationRow, readOverview } from './overview.ts'
import { operate, operateOn } from './projection-command.ts'

interface ListFlags extends SystemFlags {
  readonly streams?: boolean
  readonly json?: boolean
}

const colours: Record<ProjectionState, Parameters<typeof styled>[0]> = {
  live: 'green',
  'catching-up': 'yellow',
  paused: 'yellow',
  failing: 'red',
  stopped: 'red',
}

const columns = (isByStream: boolean) => [
  { title: 'projection' },
  { title: 'generation', align: 'right' as const },
  { title: 'role' },
  { title: 'version', align: 'right' as const },
  ...(isByStream ? [{ title: 'stream' }, { title: 'applied', align: 'right' as const }] : []),
  { title: 'state' },
  { title: 'behind', align: 'right' as const },
  { title: 'lag', align: 'right' as const },
  { title: 'dead letters', align: 'right' as const },
  { title: 'events/s', align: 'right' as const },
  { title: 'database' },
  { title: 'worker' },
]

const figures = (row: {
  state: ProjectionState
  lagEvents: number
  lagMs: number
  deadLetters: number
  rate: number
}): string[] => [
  styled(colours[row.state], row.state),
  count(row.lagEvents),
  row.lagEvents === 0 ? '0' : row.lagMs === 0 ? '–' : span(row.lagMs),
  row.deadLetters === 0 ? '0' : styled('red', count(row.deadLetters)),
  count(Math.round(row.rate)),
]

export const generationsTable = (rows: readonly GenerationRow[], isByStream: boolean): string =>
  table(
    columns(isByStream),
    rows.flatMap(row => {
      const { projection, generation, role, version, streams, database, workers } = row
      const name = [projection, generation, role, version]
      return isByStream
        ? streams.map(one => [
            ...name,
            one.stream,
            count(one.position),
            ...figures(one),
            database,
            one.worker ?? '–',
          ])
        : [[...name, ...figures(row), database, workers.join(', ') || '–']]
    }),
  )

const list = (flags: ListFlags): Promise<void> =>
  operate(flags, async operation => {
    const rows = await readOverview(operation)
    if (flags.json) return print(`${JSON.stringify(rows, undefined, 2)}\n`)
    await print(generationsTable(rows, flags.streams ?? false))
    for (const { projection, generation, reason } of rows)
      if (reason !== undefined) note(`${projection} ${generation}: ${reason}`)
    let letters = 0
    for await (const _ of readDeadLetters(operation.nats)) letters++
    if (letters > 0)
      note(
        `${count(letters)} dead ${letters === 1 ? 'letter' : 'letters'}: "confab projections dead-letters" shows the reasons`,
      )
  })

export const listCommand = (): Command =>
  reads(
    addSystemOptions(
      new Command('ls')
        .alias('status')
        .description('Show all generations of all views, with their progress and workers'),
    )
      .option('--streams', 'Show each stream')
      .option('--json', 'Output JSON, with all streams')
      .action(list),
  )

/** Returns all generations of all views. Undefined: there are none. */
export const allViews = async (
  config: ConfabConfig,
  system: OpenNats,
): Promise<readonly GenerationRow[] | undefined> => {
  try {
    return await operateOn(config, system, operation => readOverview(operation))
  } catch (error) {
    if (CliError.is(error) && error.code === 'NOT_READY') return undefined
    throw error
  }
}
