import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const made = new Set<string>()

const remove = (folder: string): void => {
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
  made.delete(folder)
}

process.on('exit', () => {
  for (const folder of made) remove(folder)
})

/** Creates an empty folder; `remove`, or the end of the benchmark, removes it. */
export const temporaryFolder = (): { readonly path: string; remove(): void } => {
  const path = mkdtempSync(join(tmpdir(), 'confab-bench-'))
  made.add(path)
  return { path, remove: () => remove(path) }
}
