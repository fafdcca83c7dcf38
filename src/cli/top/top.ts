import { Command } from 'commander'
import { auditStreamOf } from '../../app/open-audit.ts'
import { readSystemState } from '../../app/ops/system-state.ts'
import { loadStreams } from '../../infra/nats/index.ts'
import { CliError } from '../command/cli-error.ts'
import { reads } from '../command/command-effect.ts'
import { addSystemOptions, configOf, openExisting, type SystemFlags } from '../command/config-flags.ts'
import { interruption } from '../command/run-command.ts'
import { print } from '../terminal/output.ts'
import { showLive } from './live-screen.ts'
import { screenText } from './screen-text.ts'

interface TopFlags extends SystemFlags {
  readonly once?: boolean
  readonly json?: boolean
}

const top = async (flags: TopFlags): Promise<void> => {
  if (flags.json && !flags.once) throw new CliError('BAD_OPTION', '--json: use it with --once')
  const isLive = !flags.once
  if (isLive && !(process.stdin.isTTY && process.stdout.isTTY))
    throw new CliError('BAD_OPTION', 'the live view needs a terminal: use --once')
  const config = configOf(flags)
  const { signal, release } = interruption()
  const system = await openExisting(config, 'confab-top')
  try {
    const sources = {
      nats: system.nats,
      definitions: loadStreams({ replicas: config.natsReplicas }),
      audit: auditStreamOf(system.nats, config),
    }
    const read = () => readSystemState(sources)
    if (isLive) return await showLive(read, signal)
    const state = await read()
    if (state.streams === undefined)
      throw new CliError('NO_SERVER', 'the streams cannot be read: see "confab streams status"')
    await print(
      flags.json ? `${JSON.stringify(state, undefined, 2)}\n` : screenText(state, process.stdout.columns),
    )
    signal.throwIfAborted()
  } finally {
    await system.close()
    release()
  }
}

export const topCommand = (): Command =>
  reads(
    addSystemOptions(
      new Command('top').description(
        'Show streams, edge nodes, projections, dead letters and running operations, live',
      ),
    )
      .option('--once', 'Print the view once')
      .option('--json', 'Output JSON, with --once')
      .action(top),
  )
