import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { AuditRecord } from '../../src/audit/index.ts'
import { type ConfabProcess, spawnConfab, untilReady } from '../harness/confab-process.ts'
import { runConfab } from '../harness/replay.ts'
import { newBucket, s3Credentials } from '../harness/s3-bucket.ts'
import { tempFolder } from '../harness/temp-folder.ts'

const metricOf = async ({ adminUrl }: ConfabProcess, name: string): Promise<number | undefined> => {
  const text = await (await fetch(`${adminUrl}/metrics`)).text()
  const line = text.split('\n').find(one => one.startsWith(`${name} `))
  return line === undefined ? undefined : Number(line.split(' ')[1])
}

const until = async (holds: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await holds())) await sleep(50)
}

const recordsOf = async (data: string): Promise<AuditRecord[]> => {
  const { stdout } = await runConfab(['audit', 'ls', '--json', '--action', 'backup.take', '--data', data])
  return JSON.parse(stdout) as AuditRecord[]
}

t.test('one process of a data folder takes the scheduled backups, and only when one is due', async t => {
  const folder = tempFolder(t)
  const [data, backups, key] = ['data', 'backups', 'key'].map(name => join(folder, name)) as [
    string,
    string,
    string,
  ]
  writeFileSync(key, randomBytes(32))
  const env = {
    CONFAB_BACKUP_PLACE: backups,
    CONFAB_BACKUP_KEY: key,
    CONFAB_BACKUP_EVERY: '1h',
    CONFAB_BACKUP_VERIFY: 'true',
    CONFAB_BACKUP_KEEP_LAST: '1',
    CONFAB_BACKUP_KEEP_DAILY: '0',
    CONFAB_BACKUP_KEEP_WEEKLY: '0',
    CONFAB_BACKUP_KEEP_MONTHLY: '0',
  }
  const start = async (roles: string): Promise<ConfabProcess> => {
    const confab = await untilReady(await spawnConfab({ data, env, args: ['--roles', roles] }))
    t.teardown(() => confab.stop())
    return confab
  }
  const edge = await start('edge,commands')
  const first = await start('projections')
  await until(async () => (await metricOf(first, 'confab_backup_newest_timestamp_seconds')) !== 0)
  t.equal(await metricOf(edge, 'confab_backup_newest_timestamp_seconds'), undefined)
  t.ok(((await metricOf(first, 'confab_backup_bytes')) ?? 0) > 0)
  t.ok(((await metricOf(first, 'confab_backup_seconds')) ?? 0) > 0)
  t.equal(await metricOf(first, 'confab_backup_max_age_seconds'), 2 * 86_400)
  t.equal(await metricOf(first, 'confab_backup_runs_total{outcome="done"}'), 1)
  t.equal(readdirSync(backups).length, 1)
  const [taken = ''] = readdirSync(backups)
  const manifest = JSON.parse(readFileSync(join(backups, taken, 'manifest.json'), 'utf8'))
  t.match(manifest, { id: taken, key: /^[0-9a-f]{16}$/, verifiedAt: /^\d{4}-/ })
  t.match(await recordsOf(data), [
    { actor: /^process:/, outcome: 'done', result: { backup: taken, place: backups } },
  ])
  await first.stop()

  const second = await start('projections')
  await until(async () => (await metricOf(second, 'confab_backup_newest_timestamp_seconds')) !== 0)
  t.same(readdirSync(backups), [taken], 'not due')
  await second.stop()

  // The next process finds a backup that is old enough.
  const old = taken.replace(/^\d{8}/, '20200101')
  renameSync(join(backups, taken), join(backups, old))
  const third = await start('projections')
  await until(async () => (await metricOf(third, 'confab_backup_runs_total{outcome="done"}')) === 1)
  const left = readdirSync(backups)
  t.equal(left.length, 2, 'a folder that is not the backup of its name stays')
  t.ok(left.includes(old))
  const restored = await runConfab(['restore', '--data', join(folder, 'copy'), '--yes'], env)
  t.equal(restored.code, 0, restored.stderr)
})

t.test('a failed backup is logged, counted and tried again; the process continues', async t => {
  const folder = tempFolder(t)
  const place = join(folder, 'file')
  writeFileSync(place, '')
  const env = { CONFAB_BACKUP_PLACE: place, CONFAB_BACKUP_EVERY: '1h' }
  const data = join(folder, 'data')
  const confab = await untilReady(await spawnConfab({ data, env }))
  t.teardown(() => confab.stop())
  await until(async () => (await metricOf(confab, 'confab_backup_runs_total{outcome="failed"}')) === 1)
  t.match(confab.output(), /BACKUP_FAILED/)
  t.match(confab.output(), /backup failed/)
  t.equal(await metricOf(confab, 'confab_backup_newest_timestamp_seconds'), 0)
  t.equal((await fetch(`${confab.url}/readyz`)).status, 200)
  t.equal(await confab.stop(), 0)
})

t.test('the options of a schedule fit together', async t => {
  const data = join(tempFolder(t), 'data')
  for (const [env, message] of [
    [{}, /backup\.every: set backup\.place too/],
    [
      { CONFAB_BACKUP_PLACE: data, CONFAB_NATS: 'nats://127.0.0.1:9' },
      /backup\.every: the servers of confab may not/,
    ],
    [
      { CONFAB_BACKUP_PLACE: data, CONFAB_BACKUP_MAX_AGE: '1h' },
      /backup\.every: must be less than backup\.maxAge/,
    ],
  ] as const)
    t.match(await runConfab(['serve', '--dev', '--data', data], { CONFAB_BACKUP_EVERY: '1h', ...env }), {
      code: 2,
      stderr: message,
    })
})

interface Output {
  readonly backup: string
}

t.test('the command uses the place, the key and the rules of the configuration', async t => {
  const folder = tempFolder(t)
  const data = join(folder, 'data')
  await runConfab(['streams', 'apply', '--data', data])
  const bucket = await newBucket(t)
  const places = [
    join(folder, 'backups'),
    ...(bucket === undefined ? [] : [`s3://${bucket.bucket}/some/where`]),
  ]
  for (const place of places) {
    const env = {
      CONFAB_DATA: data,
      CONFAB_BACKUP_PLACE: place,
      CONFAB_BACKUP_KEEP_LAST: '2',
      CONFAB_BACKUP_KEEP_DAILY: '0',
      CONFAB_BACKUP_KEEP_WEEKLY: '0',
      CONFAB_BACKUP_KEEP_MONTHLY: '0',
      CONFAB_S3: bucket?.endpoint ?? '',
      AWS_ACCESS_KEY_ID: s3Credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: s3Credentials.secretAccessKey,
    }
    const none = await runConfab(['doctor'], env)
    t.match(none, { code: 1, stdout: /✗ +backups .+no finished backup/ })
    const take = async (...args: string[]): Promise<{ id: string; removed: string }> => {
      const { code, stdout, stderr } = await runConfab(['backup', '--json', ...args], env)
      t.equal(code, 0, stderr)
      return { id: (JSON.parse(stdout) as Output).backup, removed: /removed: (.+)/.exec(stderr)?.[1] ?? '' }
    }
    const taken = [await take(), await take(), await take()] as const
    t.same(
      taken.map(({ removed }) => removed),
      ['', '', taken[0].id],
      place,
    )
    t.equal((await take(place)).removed, '', 'a place that is given removes nothing')
    t.equal((await take(place, '--keep', 'last=3')).removed, taken[1].id)
    t.match(await runConfab(['doctor'], env), { stdout: /✓ +backups .+the newest one is .+ old/ })
    const wrong = await runConfab(['backup', '--keep', 'hourly=3'], env)
    t.match(wrong, { code: 2, stderr: /Give rules such as last=4,daily=7/ })
    const removals = (await recordsOf(data)).flatMap(({ result }) => result?.removed ?? [])
    t.ok(removals.includes(taken[0].id))
  }
  t.match(await runConfab(['backup', '--data', data]), { code: 2, stderr: /BAD_OPTION: name the place/ })

  const place = join(folder, 'backups')
  const backups = readdirSync(place)
  const [newest = ''] = backups.slice(-1)
  for (const name of backups.slice(0, -1)) rmSync(join(place, name), { recursive: true })
  const old = newest.replace(/^\d{8}/, '20200101')
  renameSync(join(place, newest), join(place, old))
  const file = join(place, old, 'manifest.json')
  writeFileSync(file, readFileSync(file, 'utf8').replace(newest, old))
  const overdue = await runConfab(['doctor'], { CONFAB_DATA: data, CONFAB_BACKUP_PLACE: place })
  t.match(overdue, { code: 1, stdout: /✗ +backups .+ old, more than backup\.maxAge +run "confab backup"/ })
})
