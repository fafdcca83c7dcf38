import { closeSync, openSync, readdirSync, readSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { CliError } from '../command/cli-error.ts'
import { note } from '../terminal/output.ts'
import { parseIrcLine } from './irc-lines.ts'
import { decodeLog, linesOf } from './log-text.ts'
import { dayInName } from './log-time.ts'

/** Whether a file of a folder is imported, by its name. `companion`: another file is imported with its help. */
type Selection = boolean | 'companion'

/**
 * Returns given files, and the files in given folders that `select` names, sorted. Prints a note about the other files
 * of folders. Throws CliError for a path without files to import.
 */
export const findFiles = (paths: readonly string[], select: (name: string) => Selection): string[] =>
  paths.flatMap(path => {
    if (!isFolder(path)) return [path]
    const names = readdirSync(path, { withFileTypes: true, recursive: true })
      .filter(entry => !entry.isDirectory())
      .map(entry => join(entry.parentPath, entry.name))
      .sort()
    const found = names.filter(name => select(basename(name)) === true)
    if (found.length === 0)
      throw new CliError('NO_INPUT', `${path}: the folder holds no files of this format: name another`)
    const [other, ...others] = names.filter(name => select(basename(name)) === false)
    if (other !== undefined)
      note(
        `not imported, because of the name: ${other}${others.length > 0 ? ` and ${others.length} more` : ''}`,
      )
    return found
  })

const isFolder = (path: string): boolean => {
  try {
    return statSync(path).isDirectory()
  } catch (error) {
    throw new CliError(
      'NO_INPUT',
      `${path}: ${(error as NodeJS.ErrnoException).code === 'ENOENT' ? 'the file or folder does not exist: check the path' : (error as Error).message}`,
    )
  }
}

/** A file with an IRC log. */
export interface IrcFile {
  readonly path: string
  /** File name without extension: part of the message ids. */
  readonly stem: string
  /** The day on which the log starts: its midnight, ms since 1970. */
  readonly day: number
}

/** Bytes at the start of a log in which a line has to name its day, if the file name does not. */
const dayWithinBytes = 64 * 1024

const selectLog = (name: string): Selection => {
  if (name.endsWith('.annotation.txt')) return 'companion'
  return /\.(log|weechatlog)$/i.test(name) || (name.endsWith('.raw.txt') && dayInName(name) !== undefined)
}

/**
 * Returns the files of an IRC log, oldest first. Folders: all `*.log` and `*.weechatlog`, and all `*.raw.txt` with a
 * day in the name. Given files: any extension. The day is in the name or in the log. Throws CliError.
 */
export const findIrcFiles = (paths: readonly string[]): IrcFile[] => {
  const files = findFiles(paths, selectLog).map(path => {
    const name = basename(path)
    const day = dayInName(name) ?? dayInLog(path)
    if (day === undefined)
      throw new CliError(
        'NO_INPUT',
        `${path}: neither the file name nor the log has a day: rename the file, for example to 2004-12-25.log`,
      )
    return { path, stem: name.replace(/(\.raw)?\.[a-z]+$/i, ''), day }
  })
  files.sort((a, b) => a.day - b.day || (a.stem < b.stem ? -1 : a.stem > b.stem ? 1 : 0))
  const byStem = new Map<string, string>()
  for (const { stem, path } of files) {
    const other = byStem.get(stem)
    if (other !== undefined)
      throw new CliError(
        'NO_INPUT',
        `${other} and ${path}: files of one name would share message ids: rename one`,
      )
    byStem.set(stem, path)
  }
  return files
}

/** Returns the first day that a line of a log names: its midnight, ms since 1970. */
const dayInLog = (path: string): number | undefined => {
  const file = openSync(path, 'r')
  try {
    const buffer = Buffer.alloc(dayWithinBytes)
    const lines = linesOf(decodeLog(buffer.subarray(0, readSync(file, buffer))))
    for (const line of lines.map(parseIrcLine)) {
      if (line.kind === 'day') return line.startsDay
      if ('time' in line && typeof line.time?.day === 'number') return line.time.day
    }
    return undefined
  } finally {
    closeSync(file)
  }
}
