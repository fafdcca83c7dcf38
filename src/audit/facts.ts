import { redact } from '../base/redact.ts'

/** Facts about an action: JSON values by name. */
export type Facts = Readonly<Record<string, unknown>>

const maxChars = 256
const maxItems = 32
const maxDepth = 4
/** JSON of all facts together. */
const maxJsonChars = 8_192

/** Returns a text without the secrets of this process, well-formed, and cut after 256 characters. */
export const boundedText = (text: string): string => {
  const safe = redact(text).toWellFormed()
  return safe.length > maxChars ? `${safe.slice(0, maxChars).toWellFormed()}…` : safe
}

const bounded = (value: unknown, depth: number): unknown => {
  if (typeof value === 'string') return boundedText(value)
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value)
  if (typeof value === 'boolean' || value === null) return value
  if (value instanceof Date) return value.toISOString()
  if (typeof value !== 'object' || depth === 0) return boundedText(String(value))
  if (Array.isArray(value)) {
    const items = value.slice(0, maxItems).map(item => bounded(item, depth - 1))
    return value.length > maxItems ? [...items, `… and ${value.length - maxItems} more`] : items
  }
  return boundedFields(value as Facts, depth - 1)
}

const boundedFields = (facts: Facts, depth: number): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(facts)
      .filter(([, value]) => value !== undefined)
      .slice(0, maxItems)
      .map(([name, value]) => [boundedText(name), bounded(value, depth)]),
  )

/**
 * Returns facts as a record may have them: JSON values without secrets, bounded in length, number and depth. Undefined
 * values are left out.
 */
export const boundedFacts = (facts: Facts): Record<string, unknown> => {
  const fields = boundedFields(facts, maxDepth)
  const { length } = JSON.stringify(fields)
  return length > maxJsonChars ? { leftOut: `${length} characters` } : fields
}
