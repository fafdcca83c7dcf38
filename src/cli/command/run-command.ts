import { CommanderError } from 'commander'
import { ConfabError } from '../../events/index.ts'
import { ConfigError } from '../../infra/config/index.ts'
import { NatsError } from '../../infra/nats/index.ts'
import { note, styled } from '../terminal/output.ts'
import { CliError } from './cli-error.ts'

const exitCodeOf: Record<string, number> = { BAD_OPTION: 2, INTERRUPTED: 130 }

const isUsage = (error: unknown): error is CommanderError => error instanceof CommanderError

/** Commander throws also where it has shown help or the version, and would have exited. */
const hasShown = (error: unknown): error is CommanderError =>
  isUsage(error) && (error.exitCode === 0 || error.code === 'commander.help')

const codeOf = (error: unknown): string | undefined => {
  if (isUsage(error)) return 'BAD_OPTION'
  if (CliError.is(error) || NatsError.is(error) || ConfabError.is(error)) return error.code
  if (ConfigError.is(error)) return 'BAD_OPTION'
  const code = (error as { code?: unknown } | undefined)?.code
  return typeof code === 'string' ? code : undefined
}

/** An error as its code and message; the stack, with causes, only when it was asked for. */
export const describeError = (error: unknown, verbose: boolean): string => {
  const told = error instanceof Error ? error.message : String(error)
  const message = isUsage(error) ? `${told.replace(/^error: /, '')} (--help shows what there is)` : told
  const code = codeOf(error)
  const line = `${styled(['red', 'bold'], 'error', process.stderr)}${code === undefined ? '' : ` ${code}`}: ${message}`
  if (verbose && error instanceof Error)
    return `${line}\n${error.stack ?? ''}${error.cause instanceof Error ? `\ncaused by ${error.cause.stack}` : ''}`
  return code === undefined ? `${line} (--verbose shows where)` : line
}

/** How long a process may take to end once its command has, ms. */
const lingerMs = 2_000

/** Runs a command: an error is told on stderr and becomes the exit code. */
export const runCommand = async (verbose: () => boolean, run: () => Promise<void>): Promise<void> => {
  // `confab replay | head`: whoever read has seen enough.
  process.stdout.on('error', error => {
    if ((error as NodeJS.ErrnoException).code === 'EPIPE') process.exit(0)
    throw error
  })
  try {
    await run()
  } catch (error) {
    if (hasShown(error)) process.exitCode = error.exitCode
    else {
      note(describeError(error, verbose()))
      process.exitCode = exitCodeOf[codeOf(error) ?? ''] ?? 1
    }
  }
  // Should something be left that keeps the process alive, it ends all the same.
  setTimeout(() => process.exit(), lingerMs).unref()
}

/** How often a command that npm runs looks whether it still does, ms. */
const parentEveryMs = 250

/**
 * Aborts at the first SIGINT or SIGTERM, so that what runs can end in order; a second SIGINT ends the process at once. npm passes a SIGTERM to the shell that it
 * starts commands by, and shells end without telling theirs: then an orphan takes its parent's end for the signal.
 */
export const interruption = (): { signal: AbortSignal; release(): void } => {
  const controller = new AbortController()
  const onSignal = (signal: NodeJS.Signals): void => {
    if (controller.signal.aborted && signal === 'SIGINT') process.exit(130)
    controller.abort(signal)
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  const parent = process.ppid
  const watch = (): void => {
    if (process.ppid !== parent) controller.abort('SIGTERM')
  }
  const timer = process.env.npm_command === undefined ? undefined : setInterval(watch, parentEveryMs)
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
