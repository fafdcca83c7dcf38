import { Command } from 'commander'
import type { Confab } from '../../app/start.ts'
import { isLoopback } from '../../base/host-names.ts'
import { aborted } from '../../base/sleep.ts'
import {
  type ConfabConfig,
  configReference,
  type Listener,
  openListeners,
  secretVariables,
  unknownVariables,
} from '../../infra/config/index.ts'
import { createLogger, type Logger } from '../../infra/telemetry/index.ts'
import { CliError } from '../command/cli-error.ts'
import { withEffect } from '../command/command-effect.ts'
import { addConfigFlags, configOf } from '../command/config-flags.ts'
import { portProblem, portReason } from '../command/port.ts'
import { probe } from '../command/probe.ts'
import { interruption } from '../command/run-command.ts'
import {
  readServeRecords,
  removeServeRecord,
  type ServeRecord,
  writeServeRecord,
} from '../command/server-address.ts'
import { createFetchDisplay } from '../terminal/fetch-display.ts'
import { helpWidth, note, print, styled } from '../terminal/output.ts'
import { seedDemonstration } from './demonstration.ts'

const greeting = (confab: Confab, config: ConfabConfig): string => {
  const rows: [string, string][] = [
    ['Open', styled(['cyan', 'underline'], confab.url)],
    ...(config.dev && config.roles.includes('edge')
      ? ([['Sign in', styled(['cyan', 'underline'], `${confab.url}/?user=alice`)]] as [string, string][])
      : []),
    ...(confab.adminUrl === undefined
      ? []
      : ([
          ['Admin', `${confab.adminUrl}/ops`],
          ['Metrics', `${confab.adminUrl}/metrics`],
        ] as [string, string][])),
    [
      'Data',
      config.natsServers === undefined
        ? config.data
        : `${config.data}, log on ${config.natsServers.length} NATS servers`,
    ],
    ...(config.logFile === undefined ? [] : ([['Log', config.logFile]] as [string, string][])),
    ...(config.roles.length < 3 ? ([['Roles', config.roles.join(', ')]] as [string, string][]) : []),
  ]
  const lines = rows.map(([name, value]) => `  ${styled('dim', name.padEnd(8))}${value}`)
  const mode = config.dev ? styled('yellow', ' (development: sign in as any user)') : ''
  return `\n  ${styled('bold', 'confab is running')}${mode}\n\n${lines.join('\n')}\n\n  ${styled('dim', 'Press Ctrl-C to stop.')}\n\n`
}

/** Warns when other machines reach a development server: it signs every client in as any user. */
const warnOfOpenDevelopment = ({ dev, host, port }: ConfabConfig, logger: Logger): void => {
  if (!dev || isLoopback(host)) return
  logger.warn(
    { host, port },
    'development mode on a network: every client that reaches this address can sign in as any user; use --host 127.0.0.1, or remove --dev',
  )
}

const clearText: Readonly<Record<Listener, string>> = {
  edge: 'clients send their tokens and messages in clear text: set edge.tls.cert and edge.tls.key, or let a proxy end TLS, with edge.trustProxy and an address that only the proxy reaches',
  grpc: 'services send their tokens and messages over gRPC in clear text: set grpc.tls.cert and grpc.tls.key',
  admin:
    'operators send their tokens to the admin listener in clear text: set admin.tls.cert and admin.tls.key, or --admin-host 127.0.0.1',
}

/** Warns of listeners that other machines reach without TLS. */
const warnOfClearText = (config: ConfabConfig, logger: Logger): void => {
  for (const listener of openListeners(config)) logger.warn({ listener }, clearText[listener])
}

const isRunning = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** Two servers on one data folder would build the same views twice. Throws CliError. */
const refuseSecond = async ({ data, roles }: ConfabConfig): Promise<void> => {
  if (!roles.includes('projections')) return
  for (const other of readServeRecords(data))
    if (other.roles.includes('projections') && other.pid !== process.pid && isRunning(other.pid))
      await refuseIfServing(data, other)
}

/**
 * Throws CliError when the process will not be able to listen. The server itself listens only after the views are open,
 * which can take a while.
 */
const requirePort = async (host: string, port: number, flag: string): Promise<void> => {
  const problem = port === 0 ? undefined : await portProblem(host, port)
  if (problem !== undefined)
    throw new CliError(
      'CANNOT_LISTEN',
      `cannot listen on ${host}:${port}: ${portReason(problem)}: choose another port with ${flag} (see confab doctor)`,
    )
}

const refuseIfServing = async (data: string, other: ServeRecord): Promise<void> => {
  const isServing = await probe(`${other.url}/healthz`, 1_000).then(
    // 403: its listener requires client certificates.
    ({ status }) => status === 200 || status === 403,
    () => false,
  )
  if (isServing)
    throw new CliError(
      'BAD_OPTION',
      `confab runs on ${data} already, at ${other.url}: use another folder with --data`,
    )
}

const unhandled = (what: string, cause: Error): CliError =>
  new CliError('UNHANDLED_ERROR', `${what}: ${cause.message}`, cause)

/**
 * Handles errors that no code caught, until the process exits. The first one aborts the returned signal, with a
 * CliError as its reason, so that the process stops in order; without a handler Node ends the process at once. Further
 * ones are only logged.
 */
const handleUncaughtErrors = (logger: Logger): AbortSignal => {
  const controller = new AbortController()
  const handle = (kind: string) => (thrown: unknown) => {
    const cause = thrown instanceof Error ? thrown : new Error(String(thrown))
    const error = unhandled(kind, cause)
    logger.fatal({ err: cause, code: error.code }, `${kind}, stopping`)
    controller.abort(error)
  }
  process.on('uncaughtException', handle('uncaught exception'))
  process.on('unhandledRejection', handle('unhandled rejection'))
  return controller.signal
}

const serve = async (flags: { readonly config?: string }): Promise<void> => {
  const { signal, release } = interruption()
  const config = configOf(flags)
  for (const variable of unknownVariables(process.env)) note(`warning: unknown variable ${variable}`)
  // In a checkout, esbuild bundles the pages in a child process that inherits the environment.
  for (const variable of secretVariables()) delete process.env[variable]
  await refuseSecond(config)
  await requirePort(config.host, config.port, '--port')
  if (typeof config.adminPort === 'number')
    await requirePort(config.adminHost, config.adminPort, '--admin-port')
  const logger = createLogger({
    level: config.logLevel,
    ...(config.logFile === undefined ? {} : { destination: config.logFile }),
  })
  const uncaught = handleUncaughtErrors(logger)
  const ending = AbortSignal.any([signal, uncaught])
  // Loaded on demand, so that other commands start faster.
  const { startConfab } = await import('../../app/start.ts')
  try {
    const confab = await startConfab(config, logger, {
      prepare: async parts => {
        if (config.dev && parts.isEmbedded) await seedDemonstration(parts)
      },
      onFetch: createFetchDisplay(line => logger.info({}, line)),
      signal: ending,
    })
    if (confab !== undefined) await runUntil(ending, confab, config, logger)
    if (uncaught.aborted) throw uncaught.reason
  } finally {
    release()
    logger.flush()
  }
}

/** Serves until `ending` aborts, then stops. Rejects with the error that made the process fail. */
const runUntil = async (
  ending: AbortSignal,
  confab: Confab,
  config: ConfabConfig,
  logger: Logger,
): Promise<void> => {
  try {
    const { url, adminUrl } = confab
    writeServeRecord(config.data, { url, adminUrl, roles: config.roles })
    // The address of a process without the role edge is in no other log line.
    logger.info({ url, adminUrl, roles: config.roles }, 'confab is up')
    warnOfOpenDevelopment(config, logger)
    warnOfClearText(config, logger)
    await print(greeting(confab, config))
    const failure = await Promise.race([aborted(ending).then(() => undefined), confab.failed])
    if (failure !== undefined) {
      const error = 'code' in failure ? failure : unhandled('component failed', failure)
      logger.fatal({ err: failure, code: (error as { code: unknown }).code }, 'component failed, stopping')
      throw error
    }
    logger.info({}, 'stopping')
    if (process.stdout.isTTY) note('\n  Stopping; requests in progress may finish.')
  } finally {
    removeServeRecord(config.data, config.roles)
    await confab.stop()
    logger.info({}, 'stopped')
  }
}

export const serveCommand = (): Command =>
  // `startConfab` records the start.
  withEffect(
    'process.start',
    addConfigFlags(new Command('serve').description('Run confab: the log, the views, the edge'))
      .addHelpText('after', () => `\n${configReference(helpWidth())}`)
      .action(serve),
  )
