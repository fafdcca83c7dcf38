import { readdirSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { CliError } from '../command/cli-error.ts'

/**
 * Returns given files, and the files in given folders whose name `accepts` selects, sorted. Throws CliError for a path
 * without such files.
 */
export const findFiles = (paths: readonly string[], accepts: (name: string) => boolean): string[] =>
  paths.flatMap(path => {
    const found = filesAt(path, accepts)
    if (found.length === 0)
      throw new CliError('NO_INPUT', `${path}: the folder holds no files of this format: name another`)
    return found
  })

const filesAt = (path: string, accepts: (name: string) => boolean): string[] => {
  let isFolder: boolean
  try {
    isFolder = statSync(path).isDirectory()
  } catch (error) {
    throw new CliError(
      'NO_INPUT',
      `${path}: ${(error as NodeJS.ErrnoException).code === 'ENOENT' ? 'the file or folder does not exist: check the path' : (error as Error).message}`,
    )
  }
  if (!isFolder) return [path]
  return readdirSync(path, { withFileTypes: true, recursive: true })
    .filter(entry => entry.isFile() && accepts(entry.name))
    .map(entry => join(entry.parentPath, entry.name))
    .sort()
}

/** One day of an IRC log. */
export interface IrcFile {
  readonly path: string
  /** File name without extension: part of the message ids. */
  readonly stem: string
  /** `2004-12-25`. */
  readonly date: string
}

const dated = /(\d{4}-\d\d-\d\d)/

/**
 * Returns the days of an IRC log, oldest first. Folders: all `*.raw.txt` with a date in the name. Given files: any
 * extension, but with a date.
 */
export const findIrcFiles = (paths: readonly string[]): IrcFile[] => {
  const files = findFiles(paths, name => dated.test(name) && name.endsWith('.raw.txt')).map(path => {
    const name = basename(path)
    const date = dated.exec(name)?.[1]
    if (date === undefined || Number.isNaN(Date.parse(date)))
      throw new CliError(
        'NO_INPUT',
        `${path}: the file name has no date: rename the file, for example to 2004-12-25.raw.txt`,
      )
    return { path, stem: name.replace(/(\.raw)?\.[a-z]+$/i, ''), date }
  })
  files.sort((a, b) =>
    a.date < b.date ? -1 : a.date > b.date ? 1 : a.stem < b.stem ? -1 : a.stem > b.stem ? 1 : 0,
  )
  for (const [i, file] of files.entries())
    if (files[i + 1]?.stem === file.stem)
      throw new CliError(
        'NO_INPUT',
        `${file.path} and ${files[i + 1]?.path}: files of one name would share message ids: rename one`,
      )
  return files
}
