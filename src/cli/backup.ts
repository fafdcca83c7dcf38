import { Command } from 'commander'
import { confabVersion } from '../base/version.ts'
import type { Nats } from '../infra/nats/index.ts'
import { streamNames } from '../infra/nats/index.ts'
import {
  addBackupOptions,
  asCliError,
  type BackupFlags,
  type BackupPlace,
  keyOf,
  loadBackup,
  openPlace,
  streamsText,
  withErrorReason,
} from './command/backup-place.ts'
import { CliError } from './command/cli-error.ts'
import { type CommandRecorder, records } from './command/command-effect.ts'
import { configOf, openExisting } from './command/config-flags.ts'
import { interruption } from './command/run-command.ts'
import { bytes, note, print } from './terminal/output.ts'
import { startBar } from './terminal/progress-bar.ts'

/** Returns the streams to back up. Throws CliError for a stream that does not exist. */
const streamsOf = async ({ connection }: Nats, names: readonly string[] | undefined): Promise<string[]> => {
  const { backedUpStreams } = await loadBackup()
  if (names === undefined) return backedUpStreams(connection)
  const known = await streamNames(connection)
  const unknown = names.find(name => !known.includes(name))
  if (unknown !== undefined)
    throw new CliError(
      'NO_SUCH_STREAM',
      `--stream: NATS has no stream ${unknown}: its streams are ${known.join(', ')}`,
    )
  return [...new Set(names)]
}

/** Backs up, and restores every stream as a copy with `--verify`. Prints what the backup holds. */
const run = async (
  nats: Nats,
  { files, id }: BackupPlace,
  flags: BackupFlags,
  signal: AbortSignal,
): Promise<void> => {
  if (id !== undefined)
    throw new CliError('BAD_OPTION', `${id} is one backup: name the place of the backups, which is above it`)
  const { BackupError, takeBackup, verifyBackup } = await loadBackup()
  const key = await keyOf(flags.key)
  const streams = await streamsOf(nats, flags.stream)
  let at = { stream: streams[0] ?? '', bytes: 0 }
  let step = 'read'
  const bar = startBar(() => ({
    done: Math.max(0, streams.indexOf(at.stream)),
    total: streams.length,
    text: `${at.stream}: ${bytes(at.bytes)} ${step}`,
  }))
  const onProgress = (progress: typeof at): void => {
    at = progress
  }
  try {
    const { manifest, reused } = await takeBackup(nats, files, {
      streams,
      key,
      extent: flags.verify ? 'all' : 'samples',
      confab: confabVersion(),
      signal,
      onProgress,
      onNotice: bar.say,
    })
    if (flags.verify) {
      step = 'restored'
      try {
        await verifyBackup(nats, files, manifest, manifest.streams, { key, signal, onProgress })
      } catch (error) {
        // A backup that cannot be restored must not be the newest one.
        if (BackupError.is(error)) await files.remove(manifest.id)
        throw error
      }
    }
    bar.stop()
    await print(streamsText(manifest.streams, manifest.id, flags.json))
    const unchanged = reused.length === 0 ? '' : `; unchanged, not read again: ${reused.join(', ')}`
    note(
      `backup ${manifest.id} in ${files.place}${flags.verify ? ', restored and compared' : ''}${unchanged}`,
    )
  } finally {
    bar.stop()
  }
}

const backup = async (recorder: CommandRecorder, argument: string, flags: BackupFlags): Promise<void> => {
  const { signal, release } = interruption()
  const config = configOf(flags)
  const place = await openPlace(argument, config)
  try {
    const system = await openExisting(config, 'confab-backup')
    try {
      await recorder.perform({ config, nats: system.nats }, {}, () =>
        run(system.nats, place, flags, withErrorReason(signal)),
      )
    } catch (error) {
      throw await asCliError(error, signal, 'backup')
    } finally {
      await system.close()
    }
  } finally {
    place.close()
    release()
  }
}

export const backupCommand = (): Command =>
  records(
    'backup.take',
    addBackupOptions(
      new Command('backup').description(
        'Back up the log and what a system needs beside it; see docs/operations',
      ),
    )
      .option('--verify', 'Restore each stream as a copy, compare all messages, and delete the copy')
      .option('--json', 'Output JSON'),
    backup,
  )
