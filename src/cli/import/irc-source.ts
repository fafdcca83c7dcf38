import { createHash } from 'node:crypto'
import { existsSync, readFileSync, statSync } from 'node:fs'
import type { IrcFile } from './find-files.ts'
import type { ImportItem, ImportMessage, ImportSource, SourceBatch } from './import-item.ts'
import { parseIrcLine, parseReplyLinks, timesOfDay } from './irc-lines.ts'
import { conversationOfChannel, messageOfLine, userOfNick } from './irc-names.ts'
import { sourceKey } from './read-lines.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
/** What logs held before UTF-8. */
const latin1 = new TextDecoder('windows-1252')

/** A day's log and its reply links as items, in the order of its lines. Pure. */
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
    // A nick is all the identity that IRC has: under a new one somebody else is there.
    else if (line.kind === 'nick') items.push(membership('leave', line.nick), membership('join', line.to))
  }
  return items
}

/** A day of an IRC log: one batch. Its checkpoint stands at its end only; within it the log's own messages tell how far it has come. */
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
 * Index of the last item that is in the log, -1 for none. Items are appended in their order, so that the stored messages are the first ones: a binary search.
 * What stands before a stored message was done, whether it left an event or had nothing to change.
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
    // One line in another encoding must not cost the others theirs.
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
