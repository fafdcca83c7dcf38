import { Command, InvalidArgumentError } from 'commander'
import type { Facts } from '../audit/index.ts'
import { confabVersion } from '../base/version.ts'
import type { KeepRules } from '../infra/nats/backup/index.ts'
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

const allStreams = async ({ connection }: Nats): Promise<string[]> => {
  const { backedUpStreams } = await loadBackup()
  return backedUpStreams(connection)
}

/** Returns the streams that an operator has chosen; undefined for all. Throws CliError for one that does not exist. */
const streamsOf = async (
  { connection }: Nats,
  names: readonly string[] | undefined,
): Promise<string[] | undefined> => {
  if (names === undefined) return undefined
  const known = await streamNames(connection)
  const unknown = names.find(name => !known.includes(name))
  if (unknown !== undefined)
    throw new CliError(
      'NO_SUCH_STREAM',
      `--stream: NATS has no stream ${unknown}: its streams are ${known.join(', ')}`,
    )
  return [...new Set(names)]
}

interface TakeFlags extends BackupFlags {
  readonly keep?: KeepRules
}

/** Takes a backup as flags and configuration say. Prints the content of the backup. */
const run = async (
  { system: { config, nats }, isConfigured, place: { files }, key, signal }: BackupWork,
  streams: readonly string[] | undefined,
  flags: TakeFlags,
  report: (facts: Facts) => void,
): Promise<void> => {
  const { runBackup } = await loadBackup()
  const verify = flags.verify ?? (isConfigured && config.backup.verify)
  const names = streams ?? (await allStreams(nats))
  let at = { stream: names[0] ?? '', bytes: 0 }
  let step = 'read'
  const bar = startBar(() => ({
    done: Math.max(0, names.indexOf(at.stream)),
    total: names.length,
    text: `${at.stream}: ${bytes(at.bytes)} ${step}`,
  }))
  try {
    const { manifest, reused, removed } = await runBackup(nats, files, {
      key,
      signal,
      streams,
      verify,
      keep: flags.keep ?? (isConfigured ? config.backup : undefined),
      confab: confabVersion(),
      onProgress: progress => {
        at = progress
      },
      onNotice: bar.say,
      onTaken: ({ id }) => {
        report({ backup: id, place: files.place })
        step = 'restored'
      },
    })
    if (removed.length > 0) report({ removed })
    bar.stop()
    await print(streamsText(manifest.streams, manifest.id, flags.json))
    const unchanged = reused.length === 0 ? '' : `; unchanged, not read again: ${reused.join(', ')}`
    note(`backup ${manifest.id} in ${files.place}${verify ? ', restored and compared' : ''}${unchanged}`)
    if (removed.length > 0) note(`removed: ${removed.join(', ')}`)
  } finally {
    bar.stop()
  }
}

const backup = (recorder: CommandRecorder, argument: string | undefined, flags: TakeFlags): Promise<void> =>
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

const noRules: KeepRules = { last: 0, daily: 0, weekly: 0, monthly: 0 }

/** Collects the rules of a flag that is repeated or has commas: `daily=7,weekly=4`. */
const keepRules = (value: string, before: KeepRules = noRules): KeepRules => {
  const rules = { ...before }
  for (const one of value.split(',')) {
    const [, rule, count] = /^(last|daily|weekly|monthly)=(\d{1,5})$/.exec(one.trim()) ?? []
    if (rule === undefined)
      throw new InvalidArgumentError('Give rules such as last=4,daily=7,weekly=4,monthly=12.')
    rules[rule as keyof KeepRules] = Number(count)
  }
  return rules
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
      .option(
        '--keep <rules>',
        'Remove older backups, except the last ones of days, weeks and months: last=4,daily=7,weekly=4,monthly=12 (default: backup.keep for backup.place, else all stay)',
        keepRules,
      )
      .option('--json', 'Output JSON'),
    backup,
  )
