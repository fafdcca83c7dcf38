import { newestPromises, readPromises } from '../../infra/nats/regions/index.ts'
import { CliError } from '../command/cli-error.ts'
import type { CommandRecorder } from '../command/command-effect.ts'
import { confirm } from '../command/confirm.ts'
import { interruption } from '../command/run-command.ts'
import { count, note, print, table } from '../terminal/output.ts'
import {
  type ChangeFlags,
  changeJson,
  loadOperations,
  openRegion,
  printResult,
  showStep,
  unfinishedOperation,
  withRegions,
} from './change.ts'

const kind = 'rejoin'

/** `confab region rejoin`: brings a region back whose streams have other homes now. Throws CliError, NatsError. */
export const rejoin = async (recorder: CommandRecorder, name: string, flags: ChangeFlags): Promise<void> => {
  await withRegions({ ...flags, to: name }, kind, async work => {
    recorder.nothingChanged()
    const { outdatedStreams, rejoinRegion, rejoinSteps } = await loadOperations()
    const own = openRegion(work, name)
    const { topology, definitions } = work.system
    const { open } = work.regions
    const unfinished = await unfinishedOperation(work, kind, kind, flags)
    if (unfinished !== undefined && unfinished.to !== name)
      throw new CliError('BAD_OPTION', `the unfinished operation brings ${unfinished.to} back, not ${name}`)
    const outdated = await outdatedStreams(topology, definitions, open, name)
    const isFenced = newestPromises(await readPromises(open)).fenced?.includes(name) === true
    if (outdated.length === 0 && unfinished === undefined && !isFenced) {
      if (flags.json) await print(changeJson({ operation: emptyOperation, steps: [] }))
      return note(`all streams of ${name} are homes, or mirrors of their homes, already`)
    }
    const plan = table(
      [
        { title: 'stream' },
        { title: 'home' },
        { title: `last in ${name}`, align: 'right' },
        { title: 'cut', align: 'right' },
        { title: 'lost', align: 'right' },
      ],
      outdated.map(({ stream, home, last, cut }) => [
        stream,
        home,
        count(last),
        cut === undefined ? '–' : count(cut),
        cut === undefined ? '–' : count(Math.max(0, last - cut)),
      ]),
    )
    const streams = outdated.map(({ stream }) => stream)
    if (flags.dryRun) {
      if (!flags.json) return await print(plan)
      const steps = rejoinSteps.flatMap(step => streams.map(stream => ({ step, stream, result: 'planned' })))
      const cut = Object.fromEntries(outdated.map(one => [one.stream, one.cut ?? one.last]))
      const homeLast = Object.fromEntries(outdated.map(({ stream, last }) => [stream, last]))
      return await print(changeJson({ operation: { ...emptyOperation, streams, cut, homeLast }, steps }))
    }
    if (streams.length > 0) note(plan.trimEnd())
    const question =
      streams.length > 0
        ? `Make ${streams.join(', ')} in ${name} mirrors of their homes?`
        : `Let ${name} count for majorities again?`
    if (!flags.yes && !(await confirm(question))) return note('nothing was changed')
    const { signal, release } = interruption()
    try {
      const done = await recorder.perform({ config: work.config, nats: own.nats }, {}, async report => {
        report({ streams: streams.join(', '), to: name })
        if (unfinished !== undefined) await work.journal.resume(unfinished)
        else await work.journal.begin({ kind, streams, to: name, homeLast: {} })
        return await rejoinRegion({
          topology,
          definitions,
          open,
          journal: work.journal,
          signal,
          onStep: showStep(),
        })
      })
      await printResult({ operation: done, steps: done.steps }, flags.json)
      const lost = Object.entries(done.cut).filter(([stream, cut]) => (done.homeLast[stream] ?? cut) > cut)
      if (lost.length > 0)
        note(
          `${name} had events that the new homes lack: see "confab region lost ls". Rebuild the views of ${name}: their rows would stay (confab projections rebuild)`,
        )
    } finally {
      release()
    }
  })
}

const emptyOperation = { kind, streams: [], cut: {}, homeLast: {}, refusedMs: {} } as const
