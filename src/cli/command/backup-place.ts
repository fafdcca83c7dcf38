import { readFileSync } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import type { Command } from 'commander'
import type { OpenNats } from '../../app/open-nats.ts'
import type { BackupFiles } from '../../base/backup-files.ts'
import { readErrorText } from '../../base/read-error-text.ts'
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
  addSystemOptions(command.argument('<place>', 'Folder, or s3://bucket/prefix'))
    .option(
      '--stream <name>',
      'Only this stream; repeatable (default: all streams of a backup)',
      collectValues,
    )
    .option('--key <file>', 'File with the key: 32 random bytes, or the identity of age-keygen')

/** A place of backups. */
export interface BackupPlace {
  readonly files: BackupFiles
  /** The backup, where the place names one. */
  readonly id: string | undefined
  close(): void
}

/** Opens the place that an argument names. Throws CliError. */
const openPlace = async (argument: string, { s3 }: ConfabConfig): Promise<BackupPlace> => {
  const { FolderFiles, isBackupName } = await loadBackup()
  if (!argument.startsWith('s3://')) {
    const path = resolve(argument)
    const id = isBackupName(basename(path)) ? basename(path) : undefined
    return { files: new FolderFiles(id === undefined ? path : dirname(path)), id, close: () => {} }
  }
  const [bucket = '', ...keys] = argument
    .slice('s3://'.length)
    .split('/')
    .filter(part => part !== '')
  if (bucket === '') throw new CliError('BAD_OPTION', `${argument} names no bucket: write s3://bucket/prefix`)
  const id = isBackupName(keys.at(-1) ?? '') ? keys.pop() : undefined
  const { S3BackupFiles } = await import('../../infra/s3/index.ts')
  const files = new S3BackupFiles({ ...s3, bucket, prefix: keys.join('/') })
  return { files, id, close: () => files.close() }
}

/** Returns the key in the file of `--key`; undefined without the flag. Throws CliError. */
const keyOf = async (file: string | undefined): Promise<BackupKey | undefined> => {
  if (file === undefined) return undefined
  let content: Uint8Array
  try {
    content = readFileSync(file)
  } catch (error) {
    throw new CliError('BAD_OPTION', `--key: ${file}: ${readErrorText(error)}`)
  }
  const { parseBackupKey } = await loadBackup()
  const key = await parseBackupKey(content)
  if (key === undefined)
    throw new CliError(
      'BAD_OPTION',
      `--key: ${file} holds no key: name another file, or make a key in a new file with "age-keygen -o backup.key"`,
    )
  return key
}

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

/** What a command of backups works with. */
export interface BackupWork {
  readonly system: RecordedSystem
  readonly place: BackupPlace
  readonly key: BackupKey | undefined
  /** Aborts with CliError INTERRUPTED. */
  readonly signal: AbortSignal
}

/** Calls `work` with the place, the key and the system that the arguments of a command name. */
export const withBackups = async (
  argument: string,
  flags: BackupFlags,
  open: (config: ConfabConfig) => Promise<OpenNats>,
  work: (parts: BackupWork) => Promise<void>,
): Promise<void> => {
  const { signal, release } = interruption()
  try {
    const config = configOf(flags)
    const key = await keyOf(flags.key)
    const place = await openPlace(argument, config)
    try {
      const system = await open(config)
      try {
        signal.throwIfAborted()
        await work({ system: { config, nats: system.nats }, place, key, signal })
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
