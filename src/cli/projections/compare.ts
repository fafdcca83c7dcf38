import { Argument, Command } from 'commander'
import {
  buildingOf,
  type Comparison,
  compareGenerations,
  type ProjectionName,
  type ProjectionPlan,
} from '../../projections/index.ts'
import { CliError } from '../command/cli-error.ts'
import { interruption } from '../command/run-command.ts'
import type { SystemFlags } from '../command/system-options.ts'
import { count, note, print, styled, table } from '../terminal/output.ts'
import { startBar } from '../terminal/progress-bar.ts'
import { readOverview } from './overview.ts'
import { generationNumber } from './pause.ts'
import { type Operation, operate, planOf, projectionArgument } from './projection-command.ts'
import { isLevel } from './rebuild.ts'
import { standStill } from './wait-for-views.ts'

interface CompareFlags extends SystemFlags {
  readonly json?: boolean
}

const repeats = 3
/** Of a row that is shown. */
const longestRow = 200

/** The generation to compare with the live one, or to switch to: the one that is being built, else the newest of the older ones. Throws CliError. */
export const otherGeneration = (plan: ProjectionPlan, projection: ProjectionName): number => {
  const other =
    buildingOf(plan)?.generation ??
    plan.generations.findLast(({ generation }) => generation !== plan.live)?.generation
  if (other === undefined)
    throw new CliError(
      'NOT_READY',
      `${projection} has one generation only: confab projections rebuild ${projection} builds another`,
    )
  return other
}

/** Throws CliError NOT_LEVEL unless a generation is level with the log, wherever it is kept. */
export const checkLevel = async (
  operation: Operation,
  projection: ProjectionName,
  generation: number,
): Promise<void> => {
  for (const row of await readOverview(operation, projection))
    if (row.generation === generation && !isLevel(row))
      throw new CliError(
        'NOT_LEVEL',
        `generation ${generation} of ${projection} is ${count(row.lagEvents)} events behind the log (${row.state})`,
      )
}

/** Compares two generations that stand at the same positions; the view is paused meanwhile, and goes on afterwards whatever came. */
const compareStill = async (
  operation: Operation,
  projection: ProjectionName,
  generations: readonly [number, number],
): Promise<Comparison> => {
  const stores = await operation.stores(projection)
  const { signal, release } = interruption()
  const stop = new AbortController()
  signal.addEventListener('abort', () =>
    stop.abort(new CliError('INTERRUPTED', 'the comparison is not complete')),
  )
  let rows = 0
  const bar = startBar(() => ({ done: 0, total: 0, text: `${count(rows)} rows compared` }))
  try {
    const [a, b] = [
      await stores.open(projection, generations[0]),
      await stores.open(projection, generations[1]),
    ]
    for (let repeat = 0; repeat < repeats; repeat++) {
      const comparison = await standStill(operation, projection, generations, signal, async ({ isStill }) => {
        const found = await compareGenerations(
          () => a.rows(),
          () => b.rows(),
          {
            signal: stop.signal,
            onProgress: all => {
              rows = all
            },
          },
        )
        // A batch that was longer at hand than anybody should wait for.
        return (await isStill()) ? found : undefined
      })
      if (comparison !== undefined) return comparison
    }
    throw new CliError('NOT_LEVEL', `${projection} was written to while it was compared`)
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
    content.length > longestRow ? `${content.slice(0, longestRow)}…` : content
  return [
    table(
      [
        { title: projection },
        { title: `generation ${a}`, align: 'right' },
        { title: `generation ${b}`, align: 'right' },
      ],
      [['rows', count(rows.a), count(rows.b)]],
    ),
    `${count(conversations - different.length)} of ${count(conversations)} conversations are the same\n`,
    ...examples.map(({ c, content, only }) =>
      only === 'a'
        ? styled('red', `- ${c}  ${shown(content)}\n`)
        : styled('green', `+ ${c}  ${shown(content)}\n`),
    ),
  ].join('')
}

/** Compares and prints. Throws CliError GENERATIONS_DIFFER. */
export const compareAndTell = async (
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
  if (!isJson) note(`generations ${generations.join(' and ')} of ${projection} are the same`)
}

const compare = (
  projection: ProjectionName,
  generation: number | undefined,
  flags: CompareFlags,
): Promise<void> =>
  operate(flags, async operation => {
    const plan = await planOf(operation, projection)
    const other = generation ?? otherGeneration(plan, projection)
    await compareAndTell(operation, projection, [plan.live, other], flags.json)
  })

export const compareCommand = (): Command =>
  projectionArgument(
    new Command('compare').description(
      'compare a generation with the one that is read, row by row; the view is paused meanwhile',
    ),
  )
    .addArgument(
      new Argument('[generation]', 'default: the one that is being built').argParser(generationNumber),
    )
    .option('--json', 'as JSON')
    .action(compare)
