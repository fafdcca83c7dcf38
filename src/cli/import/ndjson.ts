import { statSync } from 'node:fs'
import { isId, Limits } from '../../events/index.ts'
import type { BadLine, ImportMessage, ImportSource, SourceBatch } from './import-item.ts'
import { readLines, sourceKey } from './read-lines.ts'

/** The fields of a line. The import refuses lines with other fields. */
const known = new Set(['c', 'm', 'from', 'at', 'text', 'replyTo'])

const isoTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)$/

/** Parses a line of the import format. Returns the reason if the line is not valid. */
export const parseNdjsonLine = (text: string, line: number): ImportMessage | string => {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return 'is not JSON'
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'is not a JSON object'
  const { c, m, from, at, text: body, replyTo } = value as Record<string, unknown>
  for (const [name, id] of Object.entries({ c, m, from }))
    if (!isId(id)) return `${name} must be an id: 1 to ${Limits.idChars} characters of A-Z a-z 0-9 _ -`
  if (replyTo !== undefined && !isId(replyTo)) return 'replyTo must be the id of a message'
  if (typeof at !== 'string' || !isoTime.test(at) || Number.isNaN(Date.parse(at)))
    return 'at must be a time such as 2026-11-24T02:30:43.123Z'
  const time = new Date(at)
  if (time.getUTCFullYear() > 9999 || time.getUTCFullYear() < 0) return 'at must be in the years 0 to 9999'
  if (typeof body !== 'string') return 'text must be a string'
  if (!body.isWellFormed()) return 'text has a lone surrogate, which UTF-8 cannot encode'
  if (Buffer.byteLength(body) > Limits.textBytes) return `text has more than ${Limits.textBytes} bytes`
  for (const name of Object.keys(value)) if (!known.has(name)) return `unknown field ${JSON.stringify(name)}`
  return {
    kind: 'message',
    c: c as string,
    m: m as string,
    user: from as string,
    at: time.toISOString(),
    text: body,
    line,
    ...(replyTo === undefined ? {} : { replyTo }),
  }
}

/** Bytes of a line: enough for a text of 16 KiB with every byte escaped, and the other fields. */
const maxLineBytes = 256 * 1024

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const decode = (line: Buffer): string | undefined => {
  try {
    return decoder.decode(line)
  } catch {
    return undefined
  }
}

const byteOrderMark = '\ufeff'

/**
 * Source for a file of the format `ndjson`: one message a line. The import creates missing conversations as channels
 * and joins senders.
 */
export const ndjsonSource = async (path: string): Promise<ImportSource> => ({
  path,
  bytes: statSync(path).size,
  key: await sourceKey('ndjson', path),
  async *read(after): AsyncIterable<SourceBatch> {
    for await (const { lines, end } of readLines(path, after, maxLineBytes)) {
      const items: ImportMessage[] = []
      const bad: BadLine[] = []
      let line = end.lines - lines.length
      for (const raw of lines) {
        line++
        const text = raw === 'too long' ? undefined : decode(raw)
        if (text === undefined) {
          bad.push({
            line,
            reason: raw === 'too long' ? `has more than ${maxLineBytes} bytes` : 'is not UTF-8',
          })
          continue
        }
        const json = line === 1 && text.startsWith(byteOrderMark) ? text.slice(1) : text
        if (json.trim() === '') continue
        const item = parseNdjsonLine(json, line)
        if (typeof item === 'string') bad.push({ line, reason: item })
        else items.push(item)
      }
      yield { items, bad, end }
    }
  },
})
