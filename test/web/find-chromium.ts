import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

const names = ['chromium', 'chromium-browser', 'google-chrome']

const isExecutable = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Returns this machine's Chromium: the one that CONFAB_CHROMIUM names, else one on the path. */
export const findChromium = (): string | undefined => {
  const named = process.env.CONFAB_CHROMIUM
  if (named !== undefined && named !== '') return isExecutable(named) ? named : undefined
  const folders = ['/usr/bin', ...(process.env.PATH ?? '').split(delimiter)]
  return folders.flatMap(folder => names.map(name => join(folder, name))).find(isExecutable)
}

/** Whether a missing Chromium is a failure instead of a skip. */
export const chromiumRequired = (): boolean =>
  (process.env.CONFAB_TEST_REQUIRE ?? '').split(/[\s,]+/).includes('chromium')
