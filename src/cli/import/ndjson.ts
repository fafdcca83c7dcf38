import { statSync } from 'node:fs'
import { type AppData, isId, Limits } from '../../events/index.ts'
import type { BadLine, ImportMessage, ImportSource, SourceBatch } from './import-item.ts'
import { dataProblem, textProblem, timeProblem } from './message-rules.ts'
import { readLines, sourceKey } from './read-lines.ts'

/** The fields of a line. The import refuses lines with other fields. */
const known = new Set(['c', 'm', 'from', 'at', 'text', 'replyTo', 'data'])

const isoTime = /^(\d{4}-\d\d-\d\d)T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)$/

/** Parses a time. Undefined: it has another form, or its day does not exist: `Date` would return a later day. */
const parseTime = (text: string): Date | undefined => {
  const day = isoTime.exec(text)?.[1]
  if (day === undefined || Number.isNaN(Date.parse(text))) return undefined
  return new Date(`${day}T00:00:00Z`).toISOString().startsWith(day) ? new Date(text) : undefined
}

/** Parses a line of the import format. Returns the reason if the line is not valid. */
export const parseNdjsonLine = (text: string, line: number): ImportMessage | string => {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return 'is not JSON'
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'is not a JSON object'
  const { c, m, from, at, text: body, replyTo, data } = value as Record<string, unknown>
  for (const [name, id] of Object.entries({ c, m, from }))
    if (!isId(id)) return `${name} must be an id: 1 to ${Limits.idChars} characters of A-Z a-z 0-9 _ -`
  if (replyTo !== undefined && !isId(replyTo)) return 'replyTo must be the id of a message'
  const time = typeof at === 'string' ? parseTime(at) : undefined
  if (time === undefined) return 'at must be a time such as 2026-11-24T02:30:43.123Z'
  if (typeof body !== 'string') return 'text must be a string'
  const problem = timeProblem(time.getTime()) ?? textProblem(body) ?? dataProblem(data)
  if (problem !== undefined) return problem
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
    ...(data === undefined ? {} : { data: data as AppData }),
  }
}

/** Bytes of a line: enough for a text of 16 KiB and data of 4 KiB, every byte escaped, and the other fields. */
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
  // The number grows with what the import refuses, so that checkpoints of earlier versions do not count.
  key: await sourceKey('ndjson 2', path),
  async *read(after): AsyncIterable<SourceBatch> {
    for await (const { lines, end } of readLines(path, after, maxLineBytes)) {
      const items: ImportMessage[] = []
      const bad: BadLine[] = []
      let ignored = 0
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
        if (json.trim() === '') {
          ignored++
          continue
        }
        const item = parseNdjsonLine(json, line)
        if (typeof item === 'string') bad.push({ line, reason: item })
        else items.push(item)
      }
      yield { items, bad, ignored, end }
    }
  },
})
