import { Argument, Command, InvalidArgumentError, Option } from 'commander'
import type { Facts } from '../../audit/index.ts'
import {
  askProjectionStatus,
  askRetry,
  type FiledLetter,
  readDeadLetters,
  removeDeadLetter,
} from '../../infra/nats/index.ts'
import { type ProjectionName, projectionNames, type RetryOutcome } from '../../projections/index.ts'
import { CliError } from '../command/cli-error.ts'
import { type CommandRecorder, reads, records } from '../command/command-effect.ts'
import { addSystemOptions, type SystemFlags } from '../command/config-flags.ts'
import { interruption } from '../command/run-command.ts'
import { count, note, print, table } from '../terminal/output.ts'
import { fedViews, holderOf } from './overview.ts'
import { type Operation, operate } from './projection-command.ts'

interface FilterFlags extends SystemFlags {
  readonly projection?: ProjectionName
  readonly reason?: string
}

interface ListFlags extends FilterFlags {
  readonly json?: boolean
}

interface ChooseFlags extends FilterFlags {
  readonly all?: boolean
}

const maxReasonChars = 100

async function* lettersOf(
  { nats }: Operation,
  { projection, reason }: FilterFlags,
): AsyncIterable<FiledLetter> {
  for await (const letter of readDeadLetters(nats, projection))
    if (reason === undefined || letter.reason.toLowerCase().includes(reason.toLowerCase())) yield letter
}

const collect = async (operation: Operation, flags: FilterFlags): Promise<FiledLetter[]> => {
  const letters: FiledLetter[] = []
  for await (const letter of lettersOf(operation, flags)) letters.push(letter)
  return letters
}

const list = (flags: ListFlags): Promise<void> =>
  operate(flags, async operation => {
    const letters = await collect(operation, flags)
    if (flags.json) return print(`${JSON.stringify(letters, undefined, 2)}\n`)
    if (letters.length === 0) return note('no dead letters')
    await print(
      table(
        [
          { title: 'letter', align: 'right' },
          { title: 'projection' },
          { title: 'event' },
          { title: 'of' },
          { title: 'filed' },
          { title: 'reason' },
        ],
        letters.map(({ sequence, projection, stream, streamSeq, aggregate, seq, type, at, reason }) => [
          sequence,
          projection,
          `${stream} ${streamSeq}`,
          `${aggregate.id} ${seq}${type === '' ? '' : ` ${type}`}`,
          at.slice(0, 19).replace('T', ' '),
          reason.length > maxReasonChars ? `${reason.slice(0, maxReasonChars)}…` : reason,
        ]),
      ),
    )
  })

/** Returns the selected letters. Throws CliError when the flags select none, or name one that does not exist. */
const choose = async (
  operation: Operation,
  sequences: readonly number[],
  flags: ChooseFlags,
): Promise<FiledLetter[]> => {
  if (sequences.length === 0 && !flags.all && flags.projection === undefined && flags.reason === undefined)
    throw new CliError(
      'BAD_OPTION',
      'no letters selected: name them by number, or use --projection, --reason or --all',
    )
  const letters = await collect(operation, flags)
  if (sequences.length === 0) return letters
  const missing = sequences.filter(sequence => !letters.some(letter => letter.sequence === sequence))
  if (missing.length > 0)
    throw new CliError(
      'NO_SUCH_LETTER',
      `dead letter ${missing.join(', ')} does not exist${flags.projection || flags.reason ? ' with this filter' : ''}: "confab projections dead-letters" lists them`,
    )
  return letters.filter(({ sequence }) => sequences.includes(sequence))
}

/** Groups letters by event: each generation of a projection files a letter of its own. */
const byEvent = (letters: readonly FiledLetter[]): FiledLetter[][] => [
  ...Map.groupBy(
    letters,
    ({ projection, stream, streamSeq }) => `${projection} ${stream} ${streamSeq}`,
  ).values(),
]

/** Asks the workers to apply the event of a letter again. Undefined: not all of them answered. */
const retryLetter = async ({ nats }: Operation, letter: FiledLetter): Promise<RetryOutcome | undefined> => {
  const views = fedViews(await askProjectionStatus(nats), letter.projection)
  const databases = views.filter(({ reports }) => {
    const holder = holderOf(reports, letter.stream)
    return holder !== undefined && holder.state !== 'stopped'
  }).length
  return databases === 0 ? undefined : askRetry(nats, letter, databases)
}

/** The numbers of letters in an audit record. */
const numbersOf = (letters: readonly FiledLetter[]): number[] => letters.map(({ sequence }) => sequence)

const retry = (recorder: CommandRecorder, sequences: readonly number[], flags: ChooseFlags): Promise<void> =>
  operate(flags, async operation => {
    const letters = await choose(operation, sequences, flags)
    await recorder.perform(operation, {}, report => retryAll(operation, letters, report))
  })

const retryAll = async (
  operation: Operation,
  letters: readonly FiledLetter[],
  report: (facts: Facts) => void,
): Promise<void> => {
  const { signal, release } = interruption()
  const failures: string[] = []
  const applied: FiledLetter[] = []
  let done = 0
  try {
    for (const copies of byEvent(letters)) {
      if (signal.aborted)
        throw new CliError('INTERRUPTED', `${count(done)} letters were applied; the others are unchanged`)
      const [letter] = copies as [FiledLetter, ...FiledLetter[]]
      const outcome = await retryLetter(operation, letter)
      if (outcome?.ok) {
        for (const { sequence } of copies) await removeDeadLetter(operation.nats, sequence)
        applied.push(...copies)
        done++
        continue
      }
      const { sequence, projection, stream, streamSeq } = letter
      const why = outcome?.reason ?? `not all workers of ${stream} answered`
      failures.push(why)
      note(`letter ${sequence} (${projection}, ${stream} ${streamSeq}) failed again: ${why}`)
    }
  } finally {
    release()
    report({ letters: letters.length, applied: numbersOf(applied) })
  }
  note(`${count(done)} ${done === 1 ? 'letter was' : 'letters were'} applied`)
  if (failures.length > 0)
    throw new CliError(
      'DEAD_LETTERS_LEFT',
      `${count(failures.length)} ${failures.length === 1 ? 'letter' : 'letters'} failed again, the first because ${failures[0]}`,
    )
}

const discard = (
  recorder: CommandRecorder,
  sequences: readonly number[],
  flags: ChooseFlags,
): Promise<void> =>
  operate(flags, async operation => {
    const letters = await choose(operation, sequences, flags)
    await recorder.perform(operation, {}, async report => {
      const removed: FiledLetter[] = []
      try {
        for (const letter of letters)
          if (await removeDeadLetter(operation.nats, letter.sequence)) removed.push(letter)
      } finally {
        report({ letters: letters.length, discarded: numbersOf(removed) })
      }
      const done = removed.length
      note(
        `${count(done)} ${done === 1 ? 'letter was' : 'letters were'} discarded; the events stay in the log`,
      )
    })
  })

const letterNumber = (value: string, before: number[] | undefined): number[] => {
  const number = Number(value)
  if (!Number.isInteger(number) || number < 1)
    throw new InvalidArgumentError(
      'Give the number of a letter, as "confab projections dead-letters" shows it.',
    )
  return [...(before ?? []), number]
}

const withFilter = (command: Command): Command =>
  addSystemOptions(command)
    .addOption(
      new Option('--projection <projection>', 'Only letters of this projection').choices(projectionNames),
    )
    .option('--reason <text>', 'Only letters whose reason contains this text (any case)')

const withChoice = (command: Command): Command =>
  withFilter(command)
    .addArgument(
      new Argument('[letter...]', 'Numbers of letters')
        .argParser(letterNumber)
        .default([], 'the letters that the options select'),
    )
    .option('--all', 'All letters')

export const deadLettersCommand = (): Command =>
  reads(
    withFilter(
      new Command('dead-letters').description('List events that a projection could not apply, with reasons'),
    )
      .option('--json', 'Output JSON')
      .action(list),
  )

export const retryCommand = (): Command =>
  records(
    'projections.retry',
    withChoice(
      new Command('retry').description(
        'Apply the events of dead letters again, in all generations; deletes the letters that succeed',
      ),
    ),
    retry,
  )

export const discardCommand = (): Command =>
  records(
    'projections.discard',
    withChoice(
      new Command('discard').description(
        'Delete dead letters without applying them; the views stay without the events',
      ),
    ),
    discard,
  )
