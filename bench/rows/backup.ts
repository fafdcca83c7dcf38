import { jetstreamManager } from '@nats-io/jetstream'
import { FolderFiles, planRestore, restoreBackup, takeBackup } from '../../src/infra/nats/backup/index.ts'
import { makeGroups } from '../harness/events.ts'
import { temporaryFolder } from '../harness/folders.ts'
import { startNats } from '../harness/nats.ts'
import { rawAppend } from '../limits/raw-append.ts'
import { rawRestore, rawSnapshot } from '../limits/raw-snapshot.ts'
import type { Row, Sample } from '../row.ts'

const stream = 'CONV_0'
const signal = new AbortController().signal
const onProgress = (): void => {}

export const backupRow: Row = {
  name: 'backup',
  figures: [
    { path: 'backup to a folder', unit: 'events/s', target: { rule: 'ratio at least', value: 0.6 } },
    { path: 'restore, compared', unit: 'events/s', target: { rule: 'ratio at least', value: 0.6 } },
  ],
  prepare: async ({ quick, defer }) => {
    const nats = await startNats()
    defer(nats.stop)
    const subjects = makeGroups(500, 5, quick ? 50_000 : 300_000)
    const events = subjects.reduce((sum, { messages }) => sum + messages.length, 0)
    const connected = await nats.connect()
    const { connection } = connected
    await rawAppend(connection, subjects)
    const manager = await jetstreamManager(connection)

    const rates = async (backup: () => Promise<() => Promise<void>>, name: string): Promise<Sample> => {
      const startedAt = performance.now()
      const restore = await backup()
      const backedUpAt = performance.now()
      await restore()
      const restoredAt = performance.now()
      await manager.streams.delete(name)
      return [(events * 1000) / (backedUpAt - startedAt), (events * 1000) / (restoredAt - backedUpAt)]
    }
    return {
      ours: async () => {
        const folder = temporaryFolder()
        try {
          const files = new FolderFiles(folder.path)
          return await rates(async () => {
            const { manifest } = await takeBackup(connected, files, {
              streams: [stream],
              key: undefined,
              extent: 'samples',
              confab: 'bench',
              signal,
              onProgress,
              onNotice: () => {},
            })
            return async () => {
              const targets = await planRestore(connected, manifest, manifest.streams, 'OURS')
              await restoreBackup(connected, files, manifest, targets, {
                key: undefined,
                signal,
                onProgress,
                onNotice: () => {},
              })
            }
          }, 'OURS')
        } finally {
          folder.remove()
        }
      },
      limit: () =>
        rates(async () => {
          const snapshot = await rawSnapshot(connection, stream)
          return () => rawRestore(connection, 'RAW', snapshot)
        }, 'RAW'),
    }
  },
}
