import type { Command } from 'commander'
import type { BackupPlace } from '../../app/open-backups.ts'
import type { OpenNats } from '../../app/open-nats.ts'
import type { ConfabConfig } from '../../infra/config/index.ts'
import type { BackupKey } from '../../infra/nats/backup/index.ts'
import { bytes, count, table } from '../terminal/output.ts'
import { CliError } from './cli-error.ts'
import type { RecordedSystem } from './command-effect.ts'
import { addSystemOptions, configOf, type SystemFlags } from './config-flags.ts'
import { collectValues } from './flag-values.ts'
import { interruption } from './run-command.ts'

/** Loads the code of backups only when a command needs it: every command of the CLI imports this file. */
export const loadBackup = () => import('../../infra/nats/backup/index.ts')

/** The flags of both commands. */
export interface BackupFlags extends SystemFlags {
  readonly stream?: readonly string[]
  readonly key?: string
  readonly verify?: boolean
  readonly json?: boolean
}

/** Adds the argument and the flags of both commands. */
export const addBackupOptions = (command: Command): Command =>
  addSystemOptions(
    command.argument('[place]', 'Folder, or s3://bucket/prefix (default: backup.place and backup.key)'),
  )
    .option(
      '--stream <name>',
      'Only this stream; repeatable (default: all streams of a backup)',
      collectValues,
    )
    .option('--key <file>', 'File with the key: 32 random bytes, or the identity of age-keygen')

/** A stream as both commands print it. */
interface PrintedStream {
  readonly stream: string
  readonly first: number
  readonly last: number
  readonly messages: number
  readonly bytes: number
  readonly sha256?: string | undefined
}

/** Returns the output of both commands. */
export const streamsText = (streams: readonly PrintedStream[], backup: string, json = false): string => {
  const rows = streams.map(({ stream, first, last, messages, bytes, sha256 }) => ({
    stream,
    first,
    last,
    messages,
    bytes,
    sha256,
  }))
  if (json) return `${JSON.stringify({ backup, streams: rows }, undefined, 2)}\n`
  return table(
    [
      { title: 'stream' },
      { title: 'first', align: 'right' },
      { title: 'last', align: 'right' },
      { title: 'messages', align: 'right' },
      { title: 'size', align: 'right' },
      { title: 'sha256' },
    ],
    rows.map(row => [
      row.stream,
      count(row.first),
      count(row.last),
      count(row.messages),
      bytes(row.bytes),
      row.sha256?.slice(0, 16) ?? '–',
    ]),
  )
}

/** The parts that a command of backups works with. */
export interface BackupWork {
  readonly system: RecordedSystem
  /** The place is that of the configuration, and so are its key and its rules. */
  readonly isConfigured: boolean
  readonly place: BackupPlace
  readonly key: BackupKey | undefined
  /** Aborts with CliError INTERRUPTED. */
  readonly signal: AbortSignal
}

/** Calls `work` with the place, the key and the system that the arguments of a command name. */
export const withBackups = async (
  argument: string | undefined,
  flags: BackupFlags,
  open: (config: ConfabConfig) => Promise<OpenNats>,
  work: (parts: BackupWork) => Promise<void>,
): Promise<void> => {
  const { signal, release } = interruption()
  try {
    const config = configOf(flags)
    const named = argument ?? config.backup.place
    if (named === undefined)
      throw new CliError('BAD_OPTION', 'name the place of the backups, or set backup.place')
    const isConfigured = argument === undefined
    const { openBackupPlace, readBackupKey } = await import('../../app/open-backups.ts')
    const keyFile = flags.key ?? (isConfigured ? config.backup.keyFile : undefined)
    const key =
      keyFile === undefined
        ? undefined
        : await readBackupKey(flags.key === undefined ? 'backup.key' : '--key', keyFile)
    const place = await openBackupPlace(named, config)
    try {
      const system = await open(config)
      try {
        signal.throwIfAborted()
        await work({ system: { config, nats: system.nats }, isConfigured, place, key, signal })
      } finally {
        await system.close()
      }
    } finally {
      place.close()
    }
  } finally {
    release()
  }
}
