import { operatorText } from '../../events/index.ts'
import type { ConfabConfig } from '../../infra/config/index.ts'
import { span } from '../terminal/output.ts'
import { type Finding, ill, well } from './findings.ts'

/** Checks the age of the newest backup in the place of the configuration; without a place it checks nothing. */
export const checkBackups = async (config: ConfabConfig): Promise<readonly Finding[]> => {
  const { place: named, maxAgeMs } = config.backup
  if (named === undefined) return []
  const what = `backups ${named}`
  const [{ openBackupPlace }, { newestBackup }] = await Promise.all([
    import('../../app/open-backups.ts'),
    import('../../infra/nats/backup/index.ts'),
  ])
  try {
    const place = await openBackupPlace(named, config)
    try {
      const newest = await newestBackup(place.files)
      const advice = 'run "confab backup", and see the log of the process or of the timer that should have'
      if (newest === undefined) return [ill(what, 'no finished backup', advice)]
      const ageMs = Math.max(0, Date.now() - newest)
      const text = `the newest one is ${span(ageMs)} old`
      return [ageMs > maxAgeMs ? ill(what, `${text}, more than backup.maxAge`, advice) : well(what, text)]
    } finally {
      place.close()
    }
  } catch (error) {
    return [ill(what, operatorText(error), 'see the message')]
  }
}
