import { join } from 'node:path'
import { Command } from 'commander'
import type { Confab } from '../../app/start.ts'
import { type ConfabConfig, configReference, unknownVariables } from '../../infra/config/index.ts'
import { createLogger, type Logger } from '../../infra/telemetry/index.ts'
import { CliError } from '../command/cli-error.ts'
import { addConfigFlags, configOf } from '../command/config-flags.ts'
import { interruption } from '../command/run-command.ts'
import {
  readServeRecords,
  removeServeRecord,
  type ServeRecord,
  writeServeRecord,
} from '../command/server-address.ts'
import { helpWidth, note, print, styled } from '../terminal/output.ts'
import { seedDemonstration } from './demonstration.ts'

/** On a terminal a development server's log goes to a file: what one wants to see there is where the server is. */
const logFileOf = (config: ConfabConfig): string | undefined =>
  config.logFile ?? (config.dev && process.stdout.isTTY ? join(config.data, 'confab.log') : undefined)

const greeting = (confab: Confab, config: ConfabConfig, logFile: string | undefined): string => {
  const rows: [string, string][] = [
    ['Open', styled(['cyan', 'underline'], confab.url)],
    ...(config.dev && config.roles.includes('edge')
      ? ([['Sign in', styled(['cyan', 'underline'], `${confab.url}/?user=alice`)]] as [string, string][])
      : []),
    [
      'Data',
      config.natsServers === undefined
        ? config.data
        : `${config.data}, log on ${config.natsServers.length} NATS servers`,
    ],
    ...(logFile === undefined ? [] : ([['Log', logFile]] as [string, string][])),
    ...(config.roles.length < 3 ? ([['Roles', config.roles.join(', ')]] as [string, string][]) : []),
  ]
  const lines = rows.map(([name, value]) => `  ${styled('dim', name.padEnd(8))}${value}`)
  const mode = config.dev ? styled('yellow', ' (development: anyone may sign in as anyone)') : ''
  return `\n  ${styled('bold', 'confab is running')}${mode}\n\n${lines.join('\n')}\n\n  ${styled('dim', 'Ctrl-C ends it.')}\n\n`
}

const isRunning = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** Two servers on one data folder would build the same views twice. */
const refuseSecond = async ({ data, roles }: ConfabConfig): Promise<void> => {
  if (!roles.includes('projections')) return
  for (const other of readServeRecords(data))
    if (other.roles.includes('projections') && other.pid !== process.pid && isRunning(other.pid))
      await refuseServing(data, other)
}

const refuseServing = async (data: string, other: ServeRecord): Promise<void> => {
  const isServing = await fetch(`${other.url}/healthz`, { signal: AbortSignal.timeout(1_000) }).then(
    answer => answer.ok,
    () => false,
  )
  if (isServing)
    throw new CliError(
      'BAD_OPTION',
      `confab runs on ${data} already, at ${other.url}: name another folder with --data`,
    )
}

const serve = async (flags: { readonly config?: string }): Promise<void> => {
  const { signal, release } = interruption()
  const config = configOf(flags)
  for (const variable of unknownVariables(process.env))
    note(`warning: ${variable} is no variable of confab's`)
  await refuseSecond(config)
  const logFile = logFileOf(config)
  const logger = createLogger({
    level: config.logLevel,
    ...(logFile === undefined ? {} : { destination: logFile }),
  })
  // Heavy parts are loaded by the command that needs them only.
  const { startConfab } = await import('../../app/start.ts')
  const confab = await startConfab(config, logger, async parts => {
    if (config.dev && parts.isEmbedded) await seedDemonstration(parts)
  })
  try {
    writeServeRecord(config.data, { url: confab.url, roles: config.roles })
    // An edge has said where it listens; of other roles nothing else does.
    logger.info({ url: confab.url, roles: config.roles }, 'confab is up')
    await print(greeting(confab, config, logFile))
    await untilTold(confab, signal, logger)
    if (process.stdout.isTTY) note('\n  Ending; what is under way may finish.')
  } finally {
    removeServeRecord(config.data, config.roles)
    await confab.stop()
    release()
    logger.flush()
  }
}

/** Until a signal asks for the end; rejects with what the process cannot go on from. */
const untilTold = async ({ failed }: Confab, signal: AbortSignal, logger: Logger): Promise<void> => {
  const told = new Promise<void>(resolve => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
  const fatal = new Promise<Error>(resolve => {
    process.once('uncaughtException', resolve)
    process.once('unhandledRejection', reason =>
      resolve(reason instanceof Error ? reason : new Error(String(reason))),
    )
  })
  const error = await Promise.race([told, failed, fatal])
  if (error === undefined) return
  logger.fatal({ err: error }, 'cannot go on')
  throw error
}

export const serveCommand = (): Command =>
  addConfigFlags(new Command('serve').description('Run confab: the log, the views, the edge'))
    .addHelpText('after', () => `\n${configReference(helpWidth())}`)
    .action(serve)
