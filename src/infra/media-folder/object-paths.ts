import { join } from 'node:path'

const segment = /^[A-Za-z0-9_-]{1,100}$/

/** A capital is written `+` and small: file systems that don't tell them apart would mix up ids. */
const fileName = (name: string): string => name.replace(/[A-Z]/g, letter => `+${letter.toLowerCase()}`)

const nameOf = (file: string): string =>
  file.replace(/\+([a-z])/g, (_, letter: string) => letter.toUpperCase())

/** The file of a key, within the folder whatever the key. Throws TypeError for a key that is none. */
export const pathOf = (folder: string, key: string): string => {
  const segments = key.split('/')
  if (!segments.every(each => segment.test(each))) throw new TypeError('not a key of an object')
  return join(folder, ...segments.map(fileName))
}

/** The segment that a file or folder stands for; undefined for one that is none of ours. */
export const segmentOf = (file: string): string | undefined => {
  const name = nameOf(file)
  return segment.test(name) && fileName(name) === file ? name : undefined
}
