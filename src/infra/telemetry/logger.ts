import { createRequire } from 'node:module'
import { isatty } from 'node:tty'
import { type Logger, pino } from 'pino'
import { redact } from '../../base/redact.ts'

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent'

export interface LoggerOptions {
  /** Default `info`. */
  readonly level?: LogLevel
  /**
   * File that lines are appended to, or a descriptor. Default 2, standard error: standard output is for the output of
   * commands.
   */
  readonly destination?: string | 1 | 2
  /** Fields of every line. */
  readonly fields?: Readonly<Record<string, string | number>>
}

/** Fields that never appear in a log, even where code passes them by mistake: content, credentials, addresses. */
const secrets = [
  'token',
  'authorization',
  'cookie',
  'secret',
  'password',
  'text',
  'title',
  'q',
  'address',
  'ip',
  'remoteAddress',
]

const redactPaths = secrets.flatMap(name => [name, `*.${name}`, `*.*.${name}`])

/** Readable lines for a terminal, coloured unless NO_COLOR is set. pino-pretty is loaded on demand: it takes time. */
const terminalStream = (descriptor: 1 | 2): ReturnType<typeof import('pino-pretty')> => {
  const pretty = createRequire(import.meta.url)('pino-pretty') as typeof import('pino-pretty')
  return pretty({
    colorize: !process.env.NO_COLOR,
    destination: descriptor,
    sync: true,
    ignore: 'pid,hostname',
    translateTime: 'SYS:HH:MM:ss.l',
    singleLine: true,
  })
}

/**
 * Creates a logger: readable lines where the destination is a terminal, else JSON lines with times in ISO 8601.
 *
 * Lines are written synchronously. They are few (requests are logged at `debug`), and the last ones before a crash must
 * not be lost.
 */
export const createLogger = (options: LoggerOptions = {}): Logger => {
  const destination = options.destination ?? 2
  return pino(
    {
      level: options.level ?? 'info',
      base: { pid: process.pid, ...options.fields },
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: { paths: redactPaths, censor: '[redacted]' },
      // Whatever an error of a driver contains: the secrets of the configuration are in no line.
      hooks: { streamWrite: redact },
    },
    typeof destination === 'number' && isatty(destination)
      ? terminalStream(destination)
      : pino.destination({ dest: destination, mkdir: true, sync: true }),
  )
}

export type { Logger }
