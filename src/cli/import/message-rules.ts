import { dataFault, isBlank, Limits } from '../../events/index.ts'

/** Returns the reason for which a message cannot have a text, as for `send`. Undefined: it can. */
export const textProblem = (text: string): string | undefined => {
  if (isBlank(text)) return 'text has no visible character'
  if (!text.isWellFormed()) return 'text has a lone surrogate, which UTF-8 cannot encode'
  if (Buffer.byteLength(text) > Limits.textBytes) return `text has more than ${Limits.textBytes} bytes`
  return undefined
}

/** Returns the reason for which a message cannot have this data, as for `send`. Undefined: it can. */
export const dataProblem = (data: unknown): string | undefined => {
  if (data === undefined) return undefined
  if (data === null) return 'data: expected a JSON object'
  const fault = dataFault(data)
  return fault === undefined ? undefined : `data${fault.pointer}: ${fault.reason}`
}

const firstMs = Date.parse('0000-01-01T00:00:00.000Z')

/** Returns the reason for which an imported event cannot have a time, ms since 1970. Undefined: it can. */
export const timeProblem = (ms: number): string | undefined => {
  if (ms < firstMs) return 'time must be in the years 0 to 9999'
  if (ms > Date.now()) return 'time is later than now; a time without a zone is UTC'
  return undefined
}
