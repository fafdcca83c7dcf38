import { readdirSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { CliError } from '../command/cli-error.ts'

/** Files that paths name: a file itself, in a folder (and below it) those whose name `accepts` takes, by name. Throws CliError for a path that is not there or gives none. */
export const findFiles = (paths: readonly string[], accepts: (name: string) => boolean): string[] =>
  paths.flatMap(path => {
    const found = filesAt(path, accepts)
    if (found.length === 0) throw new CliError('NO_INPUT', `${path}: has no file of this format`)
    return found
  })

const filesAt = (path: string, accepts: (name: string) => boolean): string[] => {
  let isFolder: boolean
  try {
    isFolder = statSync(path).isDirectory()
  } catch (error) {
    throw new CliError(
      'NO_INPUT',
      `${path}: ${(error as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file or folder' : (error as Error).message}`,
    )
  }
  if (!isFolder) return [path]
  return readdirSync(path, { withFileTypes: true, recursive: true })
    .filter(entry => entry.isFile() && accepts(entry.name))
    .map(entry => join(entry.parentPath, entry.name))
    .sort()
}

/** A day of an IRC log. */
export interface IrcFile {
  readonly path: string
  /** The file's name without its ending: part of the message ids. */
  readonly stem: string
  /** `2004-12-25`. */
  readonly date: string
}

const dated = /(\d{4}-\d\d-\d\d)/

/** The days of an IRC log, the oldest first. In folders, `*.raw.txt`; a file that is named itself may end otherwise but has its date in its name. */
export const findIrcFiles = (paths: readonly string[]): IrcFile[] => {
  const files = findFiles(paths, name => dated.test(name) && name.endsWith('.raw.txt')).map(path => {
    const name = basename(path)
    const date = dated.exec(name)?.[1]
    if (date === undefined || Number.isNaN(Date.parse(date)))
      throw new CliError('NO_INPUT', `${path}: its name has no date, such as 2004-12-25`)
    return { path, stem: name.replace(/(\.raw)?\.[a-z]+$/i, ''), date }
  })
  files.sort((a, b) =>
    a.date < b.date ? -1 : a.date > b.date ? 1 : a.stem < b.stem ? -1 : a.stem > b.stem ? 1 : 0,
  )
  for (const [i, file] of files.entries())
    if (files[i + 1]?.stem === file.stem)
      throw new CliError(
        'NO_INPUT',
        `${file.path} and ${files[i + 1]?.path}: two files of one name would share their message ids`,
      )
  return files
}
