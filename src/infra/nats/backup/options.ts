import { resolve } from 'node:path'
import { type OptionType, option, type ValuesOf } from '../../../base/option.ts'
import { boolean, days, duration, hours, integer, minutes, path, text } from '../../../base/option-types.ts'

/** A folder, or a bucket of S3 with a prefix. A relative folder starts from the YAML file's folder. */
const placeOfBackups: OptionType<string> = {
  name: 'path',
  range: 'a folder, or s3://bucket/prefix',
  parse: (raw, base) => {
    const value = text.parse(raw, base)
    return value.startsWith('s3://') ? value : resolve(base, value)
  },
}

const kept = integer(0, 10_000)

/** Where backups are, when a process takes them, and which of them stay. */
export const backupOptions = {
  place: option({
    key: 'backup.place',
    type: placeOfBackups,
    doc: 'Place of the backups of this system, and of no other one: a folder, or s3://bucket/prefix with the options and credentials of S3. `confab backup` and `confab restore` use it where they are given no place.',
  }),
  keyFile: option({
    key: 'backup.key',
    type: path,
    doc: 'File with the key of the backups in `backup.place`: 32 random bytes, or the identity of age-keygen. Keep a copy away from the backups. Not given: backups are not encrypted.',
  }),
  everyMs: option({
    key: 'backup.every',
    type: duration(minutes, 7 * days),
    doc: 'Interval of the backups that `confab serve` takes of its embedded log. On existing servers, a timer starts `confab backup` instead. Not given: no schedule.',
  }),
  verify: option({
    key: 'backup.verify',
    type: boolean,
    default: false,
    doc: 'Restore each backup in `backup.place` as a copy, compare it and delete the copy. It needs free storage in NATS for the largest stream, and reads all messages.',
  }),
  last: option({
    key: 'backup.keep.last',
    type: kept,
    unit: 'backups',
    default: 4,
    doc: 'Newest backups that stay in `backup.place`. The newest one and the newest verified one always stay. 0 for all `backup.keep` options: all backups stay.',
  }),
  daily: option({
    key: 'backup.keep.daily',
    type: kept,
    unit: 'days',
    default: 7,
    doc: 'The last backup of each of so many days (UTC) stays.',
  }),
  weekly: option({
    key: 'backup.keep.weekly',
    type: kept,
    unit: 'weeks',
    default: 4,
    doc: 'The last backup of each of so many weeks (from Monday) stays.',
  }),
  monthly: option({
    key: 'backup.keep.monthly',
    type: kept,
    unit: 'months',
    default: 12,
    doc: 'The last backup of each of so many months stays.',
  }),
  maxAgeMs: option({
    key: 'backup.maxAge',
    type: duration(minutes, 366 * days),
    default: 48 * hours,
    doc: 'Age of the newest backup above which `confab doctor` and the alert ConfabBackupOverdue report it.',
  }),
} as const

export type BackupConfig = ValuesOf<typeof backupOptions>

/** Returns what is wrong with the options of backups together. */
export const backupProblems = ({
  backup: { everyMs, place, maxAgeMs },
  natsServers,
}: {
  readonly backup: BackupConfig
  readonly natsServers: readonly string[] | undefined
}): string[] => {
  if (everyMs === undefined) return []
  const problems: string[] = []
  if (place === undefined) problems.push('backup.every: set backup.place too')
  if (natsServers !== undefined)
    problems.push(
      'backup.every: the servers of confab may not read whole streams of existing NATS servers: start "confab backup" by a timer, with the rights of an operator',
    )
  if (everyMs >= maxAgeMs) problems.push('backup.every: must be less than backup.maxAge')
  return problems
}
