import { join } from 'node:path'

const segment = /^[A-Za-z0-9_-]{1,100}$/

/** Encodes a capital letter as `+` and lower case: case-insensitive file systems would confuse ids. */
const fileName = (name: string): string => name.replace(/[A-Z]/g, letter => `+${letter.toLowerCase()}`)

const nameOf = (file: string): string =>
  file.replace(/\+([a-z])/g, (_, letter: string) => letter.toUpperCase())

/** Returns the path of a key, always inside the folder. Throws TypeError for an invalid key. */
export const pathOf = (folder: string, key: string): string => {
  const segments = key.split('/')
  if (!segments.every(each => segment.test(each))) throw new TypeError('not a valid object key')
  return join(folder, ...segments.map(fileName))
}

/** Returns the segment of a file or folder name; undefined for a name that confab did not write. */
export const segmentOf = (file: string): string | undefined => {
  const name = nameOf(file)
  return segment.test(name) && fileName(name) === file ? name : undefined
}
