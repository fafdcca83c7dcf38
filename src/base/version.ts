import { readFileSync } from 'node:fs'

/** Returns the version of confab: two levels above this file, in the sources and in the package. */
export const confabVersion = (): string => {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
