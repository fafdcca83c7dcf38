import { Command } from 'commander'
import type { Facts } from '../audit/index.ts'
import { confabVersion } from '../base/version.ts'
import type { Nats } from '../infra/nats/index.ts'
import { streamNames } from '../infra/nats/index.ts'
import {
  addBackupOptions,
  type BackupFlags,
  type BackupWork,
  loadBackup,
  streamsText,
  withBackups,
} from './command/backup-place.ts'
import { CliError } from './command/cli-error.ts'
import { type CommandRecorder, records } from './command/command-effect.ts'
import { openExisting } from './command/config-flags.ts'
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
  { system: { nats }, place: { files }, key, signal }: BackupWork,
  streams: readonly string[],
  flags: BackupFlags,
  report: (facts: Facts) => void,
): Promise<void> => {
  const { BackupError, BackupProblem, takeBackup, verifyBackup } = await loadBackup()
  let at = { stream: streams[0] ?? '', bytes: 0 }
  let step = 'read'
  const bar = startBar(() => ({
    done: Math.max(0, streams.indexOf(at.stream)),
    total: streams.length,
    text: `${at.stream}: ${bytes(at.bytes)} ${step}`,
  }))
  const options = {
    key,
    signal,
    onProgress: (progress: typeof at): void => {
      at = progress
    },
    onNotice: bar.say,
  }
  try {
    const { manifest, reused } = await takeBackup(nats, files, {
      ...options,
      streams,
      extent: flags.verify ? 'all' : 'samples',
      confab: confabVersion(),
    })
    report({ backup: manifest.id })
    if (flags.verify) {
      step = 'restored'
      try {
        await verifyBackup(nats, files, manifest, manifest.streams, options)
      } catch (error) {
        // A backup that cannot be restored must not be the newest one. Other errors say nothing about the backup.
        const isUnusable =
          BackupError.is(error) &&
          (error.code === BackupProblem.damaged || error.code === BackupProblem.differs)
        if (isUnusable) await files.remove(manifest.id)
        else
          bar.say(
            `backup ${manifest.id} is complete, but not verified: "confab restore --verify" verifies it`,
          )
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

const backup = (recorder: CommandRecorder, argument: string, flags: BackupFlags): Promise<void> =>
  withBackups(
    argument,
    flags,
    config => openExisting(config, 'confab-backup'),
    async work => {
      const { system, place } = work
      if (place.id !== undefined)
        throw new CliError(
          'BAD_OPTION',
          `${place.id} is one backup: name the place of the backups, which is above it`,
        )
      const streams = await streamsOf(system.nats, flags.stream)
      await recorder.perform(system, {}, report => run(work, streams, flags, report))
    },
  )

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
