import { isId, Limits } from '../../events/index.ts'
import type { ImportMessage } from './import-item.ts'

/** The fields of a line; others are refused rather than dropped in silence. */
const known = new Set(['c', 'm', 'from', 'at', 'text', 'replyTo'])

const isoTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)$/

/** A line of the import format, or why it is none. Pure. */
export const parseNdjsonLine = (text: string, line: number): ImportMessage | string => {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return 'is no JSON'
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'is no JSON object'
  const { c, m, from, at, text: body, replyTo } = value as Record<string, unknown>
  for (const [name, id] of Object.entries({ c, m, from }))
    if (!isId(id)) return `${name} must be an id: 1 to ${Limits.idChars} characters of A-Z a-z 0-9 _ -`
  if (replyTo !== undefined && !isId(replyTo)) return 'replyTo must be the id of a message'
  if (typeof at !== 'string' || !isoTime.test(at) || Number.isNaN(Date.parse(at)))
    return 'at must be a time such as 2026-11-24T02:30:43.123Z'
  const time = new Date(at)
  if (time.getUTCFullYear() > 9999 || time.getUTCFullYear() < 0) return 'at must be of the years 0 to 9999'
  if (typeof body !== 'string') return 'text must be a string'
  if (!body.isWellFormed()) return 'text has half a surrogate pair, which UTF-8 cannot hold'
  if (Buffer.byteLength(body) > Limits.textBytes) return `text is over ${Limits.textBytes} bytes`
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
