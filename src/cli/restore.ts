import { Command, InvalidArgumentError } from 'commander'
import { openNats } from '../app/open-nats.ts'
import type { BackedUpStream, Manifest, RestoreTarget } from '../infra/nats/backup/index.ts'
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
import { confirm } from './command/confirm.ts'
import { timeValue } from './command/flag-values.ts'
import { bytes, count, note, print, table } from './terminal/output.ts'
import { startBar } from './terminal/progress-bar.ts'

interface RestoreFlags extends BackupFlags {
  readonly as?: string
  readonly at?: Date
  readonly yes?: boolean
  readonly dryRun?: boolean
}

/** Returns the backup to restore. Throws CliError and BackupError. */
const findManifest = async (
  { place: { files, id }, key }: BackupWork,
  { at, stream: streams }: RestoreFlags,
): Promise<Manifest> => {
  const { BackupError, findBackup } = await loadBackup()
  const unfinished: string[] = []
  const manifest = await findBackup(files, {
    key,
    at,
    id,
    streams,
    onUnfinished: one => unfinished.push(one),
  })
  if (unfinished.length > 0)
    note(`not restored, because the backup did not finish or has lost its manifest: ${unfinished.join(', ')}`)
  if (manifest !== undefined) return manifest
  if (at !== undefined)
    throw new CliError(
      'BAD_OPTION',
      `--at: no backup in ${files.place} was finished by ${at.toISOString()}: name a later time`,
    )
  throw new BackupError(
    'BACKUP_DAMAGED',
    `${files.place}${id === undefined ? '' : `/${id}`} has no finished backup${id === undefined && streams === undefined ? ' of all streams' : ''}: name the place that "confab backup" wrote to`,
  )
}

/** Returns the streams of a backup that flags name. Throws CliError. */
const streamsOf = (
  { id, streams }: Manifest,
  { stream: names, as, verify }: RestoreFlags,
): readonly BackedUpStream[] => {
  const unknown = names?.find(name => !streams.some(({ stream }) => stream === name))
  if (unknown !== undefined)
    throw new CliError(
      'NO_SUCH_STREAM',
      `--stream: backup ${id} has no stream ${unknown}: its streams are ${streams.map(({ stream }) => stream).join(', ')}`,
    )
  const chosen = names === undefined ? streams : streams.filter(({ stream }) => names.includes(stream))
  if (as !== undefined && (chosen.length !== 1 || verify))
    throw new CliError('BAD_OPTION', '--as: names one stream: give one --stream, and no --verify')
  return chosen
}

const planText = (targets: readonly RestoreTarget[]): string =>
  table(
    [
      { title: 'stream' },
      { title: 'messages', align: 'right' },
      { title: 'size', align: 'right' },
      { title: 'restored as' },
      { title: 'target' },
      { title: 'subjects' },
    ],
    targets.map(({ backedUp, name, outcome, takenBy }) => [
      backedUp.stream,
      count(backedUp.messages),
      bytes(backedUp.bytes),
      name,
      outcome === 'restored' ? 'restored already' : outcome,
      takenBy === undefined ? 'as before' : `restored.${name}, because ${takenBy} takes its own`,
    ]),
  )

/** Says what a restore has done. Streams that an earlier run has finished are not compared again. */
const restoredText = (targets: readonly RestoreTarget[]): string => {
  const earlier = targets.filter(({ outcome }) => outcome === 'restored').map(({ name }) => name)
  if (earlier.length === 0) return 'restored and compared'
  const already = `restored already and not compared again: ${earlier.join(', ')}`
  return earlier.length === targets.length ? already : `restored and compared; ${already}`
}

const run = async (recorder: CommandRecorder, work: BackupWork, flags: RestoreFlags): Promise<void> => {
  const { planRestore, restoreBackup, verifyBackup } = await loadBackup()
  const { system, key, signal } = work
  const { nats } = system
  const { files } = work.place
  const manifest = await findManifest(work, flags)
  const streams = streamsOf(manifest, flags)
  const summary = `backup ${manifest.id} of ${manifest.finishedAt}`
  const targets = flags.verify ? [] : await planRestore(nats, manifest, streams, flags.as)
  if (!flags.verify) {
    const plan = planText(targets)
    recorder.nothingChanged()
    if (flags.dryRun) return await print(flags.json ? streamsText(streams, manifest.id, true) : plan)
    note(plan.trimEnd())
    if (!flags.yes && !(await confirm(`Restore ${summary}?`))) return note('nothing was restored')
  }
  const total = streams.reduce((sum, { fileSize }) => sum + fileSize, 0)
  let before = 0
  let at = { stream: '', bytes: 0 }
  const bar = startBar(() => ({ done: before + at.bytes, total, text: `${at.stream}: ${bytes(at.bytes)}` }))
  const options = {
    key,
    signal,
    onProgress: (progress: typeof at): void => {
      if (progress.stream !== at.stream) before += at.bytes
      at = progress
    },
    onNotice: bar.say,
  }
  try {
    const restored = await recorder.perform(system, { target: `backup:${manifest.id}` }, () =>
      flags.verify
        ? verifyBackup(nats, files, manifest, streams, options)
        : restoreBackup(nats, files, manifest, targets, options),
    )
    bar.stop()
    await print(streamsText(restored, manifest.id, flags.json))
    note(
      flags.verify
        ? `${summary}: restored, compared and deleted`
        : `${summary}: ${restoredText(targets)}; rebuild views that hold rows of a later log (confab projections rebuild)`,
    )
  } finally {
    bar.stop()
  }
}

const restore = (
  recorder: CommandRecorder,
  argument: string | undefined,
  flags: RestoreFlags,
): Promise<void> =>
  withBackups(
    argument,
    flags,
    config => openNats(config, 'confab-restore', note),
    work => run(recorder, work, flags),
  )

const streamName = (value: string): string => {
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(value)) throw new InvalidArgumentError('Give 1 to 64 of A-Z a-z 0-9 _ -.')
  return value
}

export const restoreCommand = (): Command =>
  records(
    'backup.restore',
    addBackupOptions(
      new Command('restore').description(
        'Restore a backup: each stream as a copy that is compared before it gets its subjects',
      ),
    )
      .option(
        '--verify',
        'Restore each stream as a copy, compare it, and delete the copy; changes nothing else',
      )
      .option('--as <name>', 'Name of the restored stream; needs one --stream', streamName)
      .option('--at <time>', 'Restore the newest backup that was finished by this time', timeValue)
      .option('--yes', 'Do not ask')
      .option('--dry-run', 'Show the plan only')
      .option('--json', 'Output JSON'),
    restore,
  )
