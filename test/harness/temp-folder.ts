import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Creates a folder that is removed when the test ends. */
export const tempFolder = (t: { teardown(done: () => void): void }): string => {
  const folder = mkdtempSync(join(tmpdir(), 'confab-test-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }))
  return folder
}
