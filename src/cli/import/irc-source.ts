import { createHash } from 'node:crypto'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { isId, Limits } from '../../events/index.ts'
import type { IrcFile } from './find-files.ts'
import type { ImportItem, ImportMessage, ImportSource, SourceBatch } from './import-item.ts'
import { parseIrcLine, parseReplyLinks, timesOfDay } from './irc-lines.ts'
import { sourceKey } from './read-lines.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
/** Encoding of logs from before UTF-8. */
const latin1 = new TextDecoder('windows-1252')

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
export const messageOfLine = (stem: string, line: number): string =>
  `irc-${idOf(stem.replaceAll('.', '-'), Limits.idChars - 11)}-${String(line).padStart(6, '0')}`

/** Returns the log of a day and its reply links as items, in the order of the lines. */
export const itemsOfDay = (
  file: Pick<IrcFile, 'stem' | 'date'>,
  channel: string,
  log: string,
  annotation: string,
): ImportItem[] => {
  const c = conversationOfChannel(channel)
  const rows = log.split('\n')
  if (rows.at(-1) === '') rows.pop()
  const lines = rows.map(parseIrcLine)
  const times = timesOfDay(
    file.date,
    lines.map(line => ('minute' in line ? line.minute : undefined)),
  )
  const isMessage = (line: number): boolean =>
    lines[line]?.kind === 'message' || lines[line]?.kind === 'action'
  const replies = parseReplyLinks(annotation, isMessage)

  const items: ImportItem[] = []
  for (const [i, line] of lines.entries()) {
    const at = new Date(times[i] ?? 0).toISOString()
    const membership = (kind: 'join' | 'leave', nick: string): ImportItem => ({
      kind,
      c,
      user: userOfNick(nick),
      at,
      line: i + 1,
    })
    if (line.kind === 'message' || line.kind === 'action') {
      const replyTo = replies.get(i)
      items.push({
        kind: 'message',
        c,
        m: messageOfLine(file.stem, i),
        user: userOfNick(line.nick),
        at,
        text: line.kind === 'action' ? `/me ${line.text}` : line.text,
        line: i + 1,
        ...(replyTo === undefined ? {} : { replyTo: messageOfLine(file.stem, replyTo) }),
      })
    } else if (line.kind === 'join') items.push(membership('join', line.nick))
    else if (line.kind === 'part' || line.kind === 'kick') items.push(membership('leave', line.nick))
    // The nick is the identity on IRC: a new nick is another user.
    else if (line.kind === 'nick') items.push(membership('leave', line.nick), membership('join', line.to))
  }
  return items
}

/**
 * Source for one day of an IRC log: one batch. Its only checkpoint is at the end; before it, the messages in the log
 * show the progress.
 */
export const ircSource = async (file: IrcFile, channel: string): Promise<ImportSource> => ({
  path: file.path,
  bytes: statSync(file.path).size,
  key: await sourceKey(`irc ${conversationOfChannel(channel)} ${file.stem}`, file.path),
  title: `#${channel.replace(/^#+/, '')}`,
  async *read(after): AsyncIterable<SourceBatch> {
    const bytes = readFileSync(file.path)
    const digest = createHash('sha256').update(bytes).digest('hex')
    if (after?.digest === digest) return
    const annotationPath = file.path.replace(/\.raw\.txt$/, '.annotation.txt')
    const annotation =
      annotationPath !== file.path && existsSync(annotationPath) ? readFileSync(annotationPath, 'utf8') : ''
    const log = decode(bytes)
    const lines = log.split('\n').length - (log.endsWith('\n') ? 1 : 0)
    yield {
      items: itemsOfDay(file, channel, log, annotation),
      bad: [],
      end: { bytes: bytes.length, lines, digest },
    }
  },
  countDone: async (items, isStored) => {
    const messages = items.flatMap((item, index) => (item.kind === 'message' ? [{ item, index }] : []))
    return (await lastStored(messages, isStored)) + 1
  },
})

/**
 * Returns the index of the last item that the log holds, -1 for none, by binary search: the import appends items in
 * order, so the stored messages come first. All items before a stored message are finished, with or without an event.
 */
const lastStored = async (
  messages: readonly { item: ImportMessage; index: number }[],
  isStored: (c: string, m: string) => Promise<boolean>,
): Promise<number> => {
  let stored = -1
  let low = 0
  let high = messages.length - 1
  while (low <= high) {
    const middle = (low + high) >> 1
    const probe = messages[middle]
    if (probe === undefined) break
    if (await isStored(probe.item.c, probe.item.m)) {
      stored = probe.index
      low = middle + 1
    } else high = middle - 1
  }
  return stored
}

const decode = (bytes: Buffer): string => {
  try {
    return utf8.decode(bytes)
  } catch {
    // Decode line by line: a line in another encoding must not change the others.
    return bytes
      .toString('latin1')
      .split('\n')
      .map(line => {
        const row = Buffer.from(line, 'latin1')
        try {
          return utf8.decode(row)
        } catch {
          return latin1.decode(row)
        }
      })
      .join('\n')
  }
}
