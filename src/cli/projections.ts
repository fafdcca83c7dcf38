import { existsSync } from 'node:fs'
import { Command } from 'commander'
import type { ConfabConfig } from '../infra/config/index.ts'
import { discoverLog, NatsEventSource } from '../infra/nats/index.ts'
import { openSqliteViews } from '../infra/sqlite/index.ts'
import type { OpenNats } from '../open-nats.ts'
import { projectionNames } from '../projections/index.ts'
import { viewsFile } from '../views-file.ts'
import { CliError } from './cli-error.ts'
import { count, print, styled, table } from './output.ts'
import { addSystemOptions, configOf, openExisting, type SystemFlags } from './system-options.ts'

export interface ProjectionLag {
  readonly projection: string
  readonly stream: string
  /** Stream sequence that it has applied, and the stream's last. */
  readonly position: number
  readonly last: number
}

/** Where the projections of a data folder stand, by its views and the log. Undefined when it has no views. */
export const projectionLags = async (
  config: ConfabConfig,
  system: OpenNats,
): Promise<ProjectionLag[] | undefined> => {
  const file = viewsFile(config.data)
  if (!existsSync(file)) return undefined
  const source = new NatsEventSource(system.nats, await discoverLog(system.nats.connection))
  const views = openSqliteViews(file)
  try {
    const streams = await source.streams()
    const lags: ProjectionLag[] = []
    for (const projection of projectionNames) {
      const positions = await views.positions(projection)
      for (const { stream, last } of streams)
        lags.push({
          projection,
          stream,
          position: positions.find(position => position.stream === stream)?.streamSeq ?? 0,
          last,
        })
    }
    return lags
  } finally {
    views.close()
    source.close()
  }
}

const status = async (flags: SystemFlags & { json?: boolean }): Promise<void> => {
  const config = configOf(flags)
  const system = await openExisting(config, 'confab-projections')
  try {
    const lags = await projectionLags(config, system)
    if (lags === undefined)
      throw new CliError(
        'NOT_READY',
        `${config.data} holds no views: nothing has run there with the role "projections"`,
      )
    if (flags.json) await print(`${JSON.stringify(lags, undefined, 2)}\n`)
    else
      await print(
        table(
          [
            { title: 'projection' },
            { title: 'stream' },
            { title: 'applied', align: 'right' },
            { title: 'last', align: 'right' },
            { title: 'behind', align: 'right' },
          ],
          lags.map(({ projection, stream, position, last }) => [
            projection,
            stream,
            count(position),
            count(last),
            position >= last ? styled('green', '0') : styled('yellow', count(last - position)),
          ]),
        ),
      )
  } finally {
    await system.close()
  }
}

export const projectionsCommand = (): Command => {
  const command = new Command('projections').description('what builds the views from the log')
  addSystemOptions(command.command('status').description('how far they have come'))
    .option('--json', 'as JSON')
    .action(status)
  return command
}
