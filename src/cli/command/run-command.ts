import { CommanderError } from 'commander'
import { TlsProblem } from '../../base/tls-files.ts'
import { ConfabError, operatorText } from '../../events/index.ts'
import { ConfigError } from '../../infra/config/index.ts'
import { asRightsError, NatsError } from '../../infra/nats/index.ts'
import { note, styled } from '../terminal/output.ts'
import { CliError } from './cli-error.ts'

/** Wrong certificates are wrong options, as far as scripts are concerned. */
const tlsExitCodes = Object.fromEntries(Object.values(TlsProblem).map(code => [code, 2]))
const exitCodeOf: Record<string, number> = { BAD_OPTION: 2, INTERRUPTED: 130, ...tlsExitCodes }

const isUsage = (error: unknown): error is CommanderError => error instanceof CommanderError

/** Whether commander has shown help or the version: with `exitOverride` it throws then, too. */
const isHelpShown = (error: unknown): error is CommanderError =>
  isUsage(error) && (error.exitCode === 0 || error.code === 'commander.help')

const codeOf = (error: unknown): string | undefined => {
  if (isUsage(error)) return 'BAD_OPTION'
  if (CliError.is(error) || NatsError.is(error) || ConfabError.is(error)) return error.code
  if (ConfigError.is(error)) return 'BAD_OPTION'
  const code = (error as { code?: unknown } | undefined)?.code
  return typeof code === 'string' ? code : undefined
}

/** The value of a flag that commander does not know may be a secret: `--tokne=…`. */
const withoutValues = (text: string): string => text.replaceAll(/(--[\w-]+)=[^'\s]+/g, '$1=…')

/** Returns an error as its code and message, with the stack traces of the error and its cause if `verbose`. */
export const describeError = (error: unknown, verbose: boolean): string => {
  const text = operatorText(error)
  const message = isUsage(error) ? `${withoutValues(text).replace(/^error: /, '')} (see --help)` : text
  const code = codeOf(error)
  const line = `${styled(['red', 'bold'], 'error', process.stderr)}${code === undefined ? '' : ` ${code}`}: ${message}`
  // The stack of a usage error repeats the arguments and names no code of confab.
  if (verbose && error instanceof Error && !isUsage(error))
    return `${line}\n${error.stack ?? ''}${error.cause instanceof Error ? `\ncaused by ${error.cause.stack}` : ''}`
  return code === undefined ? `${line} (--verbose shows the stack trace)` : line
}

/** Time that a process may take to exit after its command has ended, ms. */
const exitTimeoutMs = 2_000

/** Runs a command. Writes an error to stderr and sets the exit code. */
export const runCommand = async (verbose: () => boolean, run: () => Promise<void>): Promise<void> => {
  // In `confab replay | head`, the reader closes the pipe.
  process.stdout.on('error', error => {
    if ((error as NodeJS.ErrnoException).code === 'EPIPE') process.exit(0)
    throw error
  })
  try {
    await run()
  } catch (thrown) {
    const error = asRightsError(thrown)
    if (isHelpShown(error)) process.exitCode = error.exitCode
    else {
      note(describeError(error, verbose()))
      process.exitCode = exitCodeOf[codeOf(error) ?? ''] ?? 1
    }
  }
  // A handle left open must not keep the process alive.
  setTimeout(() => process.exit(), exitTimeoutMs).unref()
}

/** Time between two checks whether npm still runs this command, ms. */
const parentCheckMs = 250

/**
 * Returns a signal that aborts at the first SIGINT or SIGTERM, for an orderly stop. A second SIGINT exits at once. npm
 * sends SIGTERM to its shell only, and the shell exits without forwarding it: the end of the parent process therefore
 * counts as SIGTERM. The reason of the signal is CliError INTERRUPTED.
 */
export const interruption = (): { signal: AbortSignal; release(): void } => {
  const controller = new AbortController()
  const onSignal = (signal: NodeJS.Signals): void => {
    if (controller.signal.aborted && signal === 'SIGINT') process.exit(130)
    stop()
  }
  const stop = (): void =>
    controller.abort(new CliError('INTERRUPTED', 'stopped before the end: run the command again'))
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  const parent = process.ppid
  const watch = (): void => {
    if (process.ppid !== parent) stop()
  }
  const timer = process.env.npm_command === undefined ? undefined : setInterval(watch, parentCheckMs)
  timer?.unref()
  return {
    signal: controller.signal,
    release: () => {
      clearInterval(timer)
      process.off('SIGINT', onSignal)
      process.off('SIGTERM', onSignal)
    },
  }
}
