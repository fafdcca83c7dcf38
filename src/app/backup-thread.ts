/** The thread of one scheduled backup, started by backups.ts. It has its own connection to NATS. */
import { setPriority } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'
import { confabVersion } from '../base/version.ts'
import { operatorText } from '../events/index.ts'
import { newestBackup, runBackup } from '../infra/nats/backup/index.ts'
import { connectNats, errorCodeOf } from '../infra/nats/index.ts'
import type { BackupFacts, BackupThreadData, FromBackup } from './backups.ts'
import { openAuditTrail } from './open-audit.ts'
import { openBackupPlace, readBackupKey } from './open-backups.ts'

// When cores are short, acks and deliveries take precedence. Other systems would set the priority of the whole process.
const niceness = 10
if (process.platform === 'linux') setPriority(niceness)

const { config, servers } = workerData as BackupThreadData
const post = (message: FromBackup): void => parentPort?.postMessage(message)
const onNotice = (notice: string): void => post({ type: 'notice', notice })

const stopping = new AbortController()
parentPort?.once('message', () => stopping.abort(new Error('the process stops')))

/** Takes a backup when the newest one is older than the interval. */
const run = async (): Promise<BackupFacts> => {
  const { place: named = '', keyFile, everyMs = 0, verify } = config.backup
  const key = keyFile === undefined ? undefined : await readBackupKey('backup.key', keyFile)
  const place = await openBackupPlace(named, config)
  const startedAt = await newestBackup(place.files)
  if (startedAt !== undefined && Date.now() - startedAt < everyMs) return { startedAt, taken: undefined }
  const nats = await connectNats({ servers, name: 'confab backup', onNotice })
  const audit = openAuditTrail(nats, config, {
    onUnrecorded: error => onNotice(`the backup is not recorded in the audit stream: ${operatorText(error)}`),
  })
  try {
    return await audit.perform('backup.take', {}, async report => {
      const begun = performance.now()
      const { manifest, removed } = await runBackup(nats, place.files, {
        key,
        signal: stopping.signal,
        verify,
        keep: config.backup,
        confab: confabVersion(),
        onProgress: () => {},
        onNotice,
        onTaken: ({ id }) => report({ backup: id, place: place.files.place }),
      })
      if (removed.length > 0) report({ removed })
      const bytes = manifest.streams.reduce((sum, { fileSize }) => sum + fileSize, 0)
      const seconds = (performance.now() - begun) / 1_000
      return {
        startedAt: Date.parse(manifest.startedAt),
        taken: { backup: manifest.id, bytes, seconds, removed: removed.length },
      }
    })
  } finally {
    await audit.stop()
    await nats.close()
    place.close()
  }
}

run().then(
  facts => post({ type: 'done', facts }),
  error => post({ type: 'failed', code: errorCodeOf(error), reason: operatorText(error) }),
)
