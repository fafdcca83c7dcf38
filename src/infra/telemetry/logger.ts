import { type Logger, pino } from 'pino'

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent'

export interface LoggerOptions {
  /** Default `info`. */
  readonly level?: LogLevel
  /** File that the lines are appended to, or a descriptor. Default 2, standard error: standard output is for what a command prints. */
  readonly destination?: string | 1 | 2
  /** Fields of every line. */
  readonly fields?: Readonly<Record<string, string | number>>
}

/** What must not be in a log, wherever somebody puts it by mistake: what people wrote, what lets one in as them, where they are. */
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

/** JSON lines by pino, times in ISO 8601. Written at once: lines are few (a line a request only at `debug`), and the last ones before a crash matter most. */
export const createLogger = (options: LoggerOptions = {}): Logger =>
  pino(
    {
      level: options.level ?? 'info',
      base: { pid: process.pid, ...options.fields },
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: { paths: redactPaths, censor: '[redacted]' },
    },
    pino.destination({ dest: options.destination ?? 2, mkdir: true, sync: true }),
  )

export type { Logger }
