import { Argument, Command } from 'commander'
import {
  buildingOf,
  type Comparison,
  compareGenerations,
  type ProjectionName,
  type ProjectionPlan,
} from '../../projections/index.ts'
import { CliError } from '../command/cli-error.ts'
import { type CommandRecorder, records } from '../command/command-effect.ts'
import type { SystemFlags } from '../command/config-flags.ts'
import { interruption } from '../command/run-command.ts'
import { count, note, print, styled, table } from '../terminal/output.ts'
import { startBar } from '../terminal/progress-bar.ts'
import { readOverview } from './overview.ts'
import {
  generationNumber,
  type Operation,
  operate,
  planOf,
  projectionArgument,
  targetOf,
} from './projection-command.ts'
import { isLevel } from './rebuild.ts'
import { whileStill } from './wait-for-workers.ts'

interface CompareFlags extends SystemFlags {
  readonly json?: boolean
}

const attempts = 3
/** Characters of a row in the output. */
const maxRowChars = 200

/**
 * Returns the generation under construction, or else the newest that is not live. Throws CliError when there is none.
 */
export const otherGeneration = (plan: ProjectionPlan, projection: ProjectionName): number => {
  const other =
    buildingOf(plan)?.generation ??
    plan.generations.findLast(({ generation }) => generation !== plan.live)?.generation
  if (other === undefined)
    throw new CliError(
      'NOT_READY',
      `${projection} has one generation only: "confab projections rebuild ${projection}" builds another`,
    )
  return other
}

/** Throws CliError NOT_LEVEL unless a generation is level with the log in every database. */
export const checkLevel = async (
  operation: Operation,
  projection: ProjectionName,
  generation: number,
): Promise<void> => {
  for (const row of await readOverview(operation, projection))
    if (row.generation === generation && !isLevel(row))
      throw new CliError(
        'NOT_LEVEL',
        `generation ${generation} of ${projection} is ${count(row.lagEvents)} events behind the log (${row.state}): wait until it has caught up`,
      )
}

/** Compares two generations at the same positions. Pauses the view during the comparison. */
const compareStill = async (
  operation: Operation,
  projection: ProjectionName,
  generations: readonly [number, number],
): Promise<Comparison> => {
  const stores = await operation.stores(projection)
  const { signal, release } = interruption()
  let rows = 0
  const bar = startBar(() => ({ done: 0, total: 0, text: `${count(rows)} rows compared` }))
  try {
    const [a, b] = [
      await stores.open(projection, generations[0]),
      await stores.open(projection, generations[1]),
    ]
    for (let attempt = 0; attempt < attempts; attempt++) {
      const comparison = await whileStill(operation, projection, generations, signal, async ({ isStill }) => {
        const found = await compareGenerations(
          () => a.rows(),
          () => b.rows(),
          {
            signal,
            onProgress: all => {
              rows = all
            },
          },
        )
        // A worker may have stored a slow batch during the comparison: compare again.
        return (await isStill()) ? found : undefined
      })
      if (comparison !== undefined) return comparison
    }
    throw new CliError('NOT_LEVEL', `workers wrote to ${projection} during the comparison: try again`)
  } finally {
    bar.stop()
    release()
  }
}

const report = (
  projection: ProjectionName,
  [a, b]: readonly [number, number],
  { rows, conversations, different, examples }: Comparison,
): string => {
  const shown = (content: string): string =>
    content.length > maxRowChars ? `${content.slice(0, maxRowChars)}…` : content
  return [
    table(
      [
        { title: projection },
        { title: `generation ${a}`, align: 'right' },
        { title: `generation ${b}`, align: 'right' },
      ],
      [['rows', count(rows.a), count(rows.b)]],
    ),
    `${count(conversations - different.length)} of ${count(conversations)} conversations are equal\n`,
    ...examples.map(({ c, content, only }) =>
      only === 'a'
        ? styled('red', `- ${c}  ${shown(content)}\n`)
        : styled('green', `+ ${c}  ${shown(content)}\n`),
    ),
  ].join('')
}

/** Compares two generations and prints the result. Throws CliError GENERATIONS_DIFFER. */
export const compareAndReport = async (
  operation: Operation,
  projection: ProjectionName,
  generations: readonly [number, number],
  isJson = false,
): Promise<void> => {
  for (const generation of generations) await checkLevel(operation, projection, generation)
  const comparison = await compareStill(operation, projection, generations)
  await print(
    isJson
      ? `${JSON.stringify({ projection, generations, ...comparison }, undefined, 2)}\n`
      : report(projection, generations, comparison),
  )
  const { different } = comparison
  if (different.length > 0)
    throw new CliError(
      'GENERATIONS_DIFFER',
      `generations ${generations.join(' and ')} of ${projection} differ in ${count(different.length)} conversations: ${different.slice(0, 5).join(', ')}${different.length > 5 ? ' …' : ''}`,
    )
  if (!isJson) note(`generations ${generations.join(' and ')} of ${projection} are equal`)
}

const compare = (
  recorder: CommandRecorder,
  projection: ProjectionName,
  generation: number | undefined,
  flags: CompareFlags,
): Promise<void> =>
  operate(flags, async operation => {
    const plan = await planOf(operation, projection)
    const other = generation ?? otherGeneration(plan, projection)
    await recorder.perform(operation, targetOf(projection, other), () =>
      compareAndReport(operation, projection, [plan.live, other], flags.json),
    )
  })

export const compareCommand = (): Command =>
  records(
    'projections.compare',
    projectionArgument(
      new Command('compare').description(
        'Compare a generation with the live one, row by row; pauses the view during the comparison',
      ),
    )
      .addArgument(
        new Argument('[generation]', 'Generation to compare (default: the one under construction)').argParser(
          generationNumber,
        ),
      )
      .option('--json', 'Output JSON'),
    compare,
  )
