import { createHash } from 'node:crypto'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { isId, Limits } from '../../events/index.ts'
import { CliError } from '../command/cli-error.ts'
import type { IrcFile } from './find-files.ts'
import type { BadLine, ImportItem, ImportSource, SourceBatch } from './import-item.ts'
import { type IrcLine, parseIrcLine, parseReplyLinks } from './irc-lines.ts'
import { decodeLog, linesOf } from './log-text.ts'
import { timesOfLines } from './log-time.ts'
import { textProblem, timeProblem } from './message-rules.ts'
import { sourceKey } from './read-lines.ts'

const hash = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 10)

/**
 * Returns the text if it is an id; otherwise its valid characters and a hash, so that different texts get different
 * ids.
 */
const idOf = (text: string, maxChars: number): string => {
  if (isId(text) && text.length <= maxChars) return text
  return `${text.replaceAll(/[^A-Za-z0-9_-]+/g, '_').slice(0, maxChars - 11)}-${hash(text)}`
}

/** Returns the user id of a nick. Case matters: `Foo` and `foo` are two users. */
export const userOfNick = (nick: string): string => idOf(nick, Limits.idChars)

/** Returns the conversation id of a channel: `ubuntu` for `#ubuntu` and `ubuntu`. */
export const conversationOfChannel = (channel: string): string =>
  idOf(channel.replace(/^#+/, ''), Limits.idChars)

/** Returns the message id of a line of a file, the same at every import. Lines count from 0, as in annotations. */
export const messageOfLine = (stem: string, line: number): string => {
  const number = String(line).padStart(6, '0')
  return `irc-${idOf(stem.replaceAll('.', '-'), Limits.idChars - 5 - number.length)}-${number}`
}

/** The content of a log. Each line has items, or is in `bad`, or counts in `ignored`. */
export type LogContent = Omit<SourceBatch, 'end'>

/** Returns the lines of a log and its reply links as items, in the order of the lines. */
export const readLog = (
  { stem, day }: Pick<IrcFile, 'stem' | 'day'>,
  channel: string,
  written: readonly string[],
  annotation: string,
): LogContent => {
  const c = conversationOfChannel(channel)
  const parsed = written.map(parseIrcLine)
  const times = timesOfLines(parsed, day)
  const lines = parsed.map((line, i) => checked(line, times[i]))
  const isMessage = (line: number): boolean =>
    lines[line]?.kind === 'message' || lines[line]?.kind === 'action'
  const replies = parseReplyLinks(annotation, isMessage)

  const items: ImportItem[] = []
  const bad: BadLine[] = []
  let ignored = 0
  for (const [i, line] of lines.entries()) {
    const position = { at: new Date(times[i] ?? 0).toISOString(), line: i + 1 }
    const membership = (kind: 'join' | 'leave', nick: string): ImportItem => ({
      kind,
      c,
      user: userOfNick(nick),
      ...position,
    })
    switch (line.kind) {
      case 'message':
      case 'action': {
        const replyTo = replies.get(i)
        items.push({
          kind: 'message',
          c,
          m: messageOfLine(stem, i),
          user: userOfNick(line.nick),
          text: textOf(line),
          ...position,
          ...(replyTo === undefined ? {} : { replyTo: messageOfLine(stem, replyTo) }),
        })
        break
      }
      case 'join':
      case 'leave':
        items.push(membership(line.kind, line.nick))
        break
      case 'nick':
        // The nick is the identity on IRC: a new nick is another user.
        items.push(membership('leave', line.nick), membership('join', line.to))
        break
      case 'bad':
        bad.push({ line: i + 1, reason: line.reason })
        break
      default:
        ignored++
    }
  }
  return { items, bad, ignored }
}

const textOf = ({ kind, text }: IrcLine & { kind: 'message' | 'action' }): string =>
  kind === 'action' ? `/me ${text}` : text

/** Returns a line, or the reason for which the log cannot take it. */
const checked = (line: IrcLine, time: number | undefined): IrcLine => {
  if (line.kind === 'bad' || line.kind === 'day' || line.kind === 'other') return line
  const reason = problemOf(line, time)
  return reason === undefined ? line : { kind: 'bad', reason }
}

const problemOf = (line: IrcLine, time: number | undefined): string | undefined => {
  if (time === undefined) return 'has no day: neither the file name nor a line before has one'
  const problem = timeProblem(time)
  if (problem !== undefined || (line.kind !== 'message' && line.kind !== 'action')) return problem
  return textProblem(line.text) ?? textProblem(textOf(line))
}

/** The import holds a log in memory. */
const maxLogBytes = 256 * 1024 * 1024

/**
 * Source for an IRC log: one batch. Its only checkpoint is at the end; before it, the messages in the log show the
 * progress. Throws CliError for a file that is too long.
 */
export const ircSource = async (file: IrcFile, channel: string): Promise<ImportSource> => ({
  path: file.path,
  bytes: sizeOf(file.path),
  // The number grows with what the import can read, so that checkpoints of earlier versions do not count.
  key: await sourceKey(`irc 2 ${conversationOfChannel(channel)} ${file.stem}`, file.path),
  title: `#${channel.replace(/^#+/, '')}`,
  async *read(after): AsyncIterable<SourceBatch> {
    const bytes = readFileSync(file.path)
    const digest = createHash('sha256').update(bytes).digest('hex')
    if (after?.digest === digest) return
    const annotationPath = file.path.replace(/\.raw\.txt$/, '.annotation.txt')
    const annotation =
      annotationPath !== file.path && existsSync(annotationPath) ? readFileSync(annotationPath, 'utf8') : ''
    const lines = linesOf(decodeLog(bytes))
    yield {
      ...readLog(file, channel, lines, annotation),
      end: { bytes: bytes.length, lines: lines.length, digest },
    }
  },
})

const sizeOf = (path: string): number => {
  const { size } = statSync(path)
  if (size > maxLogBytes)
    throw new CliError(
      'NO_INPUT',
      `${path}: the file has more than ${maxLogBytes / 1024 / 1024} MiB: split it`,
    )
  return size
}
