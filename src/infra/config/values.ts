/** Why a value does not do; the caller adds where it stands. */
export class ValueError extends Error {
  static is = (error: unknown): error is ValueError => error instanceof ValueError
}

/** Turns what a flag, the environment or YAML holds into an option's value. Throws ValueError. `base` is what relative paths start from. */
export type Parse<T> = (raw: unknown, base: string) => T

const durationUnits = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const
const sizeUnits = { B: 1, kB: 1000, MB: 1e6, GB: 1e9, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 } as const

const withUnit = (units: Record<string, number>, raw: unknown): number | undefined => {
  const match = /^(\d+(?:\.\d+)?)\s*([A-Za-z]+)$/.exec(String(raw).trim())
  const unit = match?.[2] === undefined ? undefined : units[match[2]]
  return unit === undefined ? undefined : Math.round(Number(match?.[1]) * unit)
}

/** A time in ms, written with its unit: `500ms`, `10s`, `2m`. */
export const duration =
  (least: number, most: number): Parse<number> =>
  raw => {
    const ms = withUnit(durationUnits, raw)
    if (ms === undefined) throw new ValueError('must be a time with its unit, such as 500ms, 10s or 2m')
    if (ms < least || ms > most) throw new ValueError(`must be from ${least}ms to ${most}ms`)
    return ms
  }

/** A number of bytes, written with its unit: `64MiB`, `1GB`. */
export const size =
  (least: number, most: number): Parse<number> =>
  raw => {
    const bytes = withUnit(sizeUnits, raw)
    if (bytes === undefined)
      throw new ValueError('must be a size with its unit, such as 512KiB, 64MiB or 1GB')
    if (bytes < least || bytes > most) throw new ValueError(`must be from ${least}B to ${most}B`)
    return bytes
  }

export const integer =
  (least: number, most: number): Parse<number> =>
  raw => {
    const value = typeof raw === 'number' ? raw : /^\d+$/.test(String(raw).trim()) ? Number(raw) : Number.NaN
    if (!Number.isSafeInteger(value) || value < least || value > most)
      throw new ValueError(`must be a whole number from ${least} to ${most}`)
    return value
  }

export const boolean: Parse<boolean> = raw => {
  if (raw === true || raw === 'true' || raw === '1') return true
  if (raw === false || raw === 'false' || raw === '0') return false
  throw new ValueError('must be true or false')
}

export const text: Parse<string> = raw => {
  if (typeof raw !== 'string' || raw.trim() === '') throw new ValueError('must be a text that is not empty')
  return raw.trim()
}

export const oneOf =
  <const T extends readonly string[]>(...values: T): Parse<T[number]> =>
  raw => {
    if (!values.includes(String(raw))) throw new ValueError(`must be one of ${values.join(', ')}`)
    return String(raw)
  }

/** Separated by commas, or a list in YAML. */
export const list =
  <T>(parse: Parse<T>): Parse<readonly T[]> =>
  (raw, base) => {
    const items = Array.isArray(raw) ? raw : String(raw).split(',')
    const values = items.filter(item => String(item).trim() !== '').map(item => parse(trim(item), base))
    if (values.length === 0) throw new ValueError('must name at least one')
    return values
  }

const trim = (item: unknown): unknown => (typeof item === 'string' ? item.trim() : item)

export const url =
  (...protocols: string[]): Parse<string> =>
  raw => {
    const value = text(raw, '')
    const given = value.includes('://') ? value : `${protocols[0]}://${value}`
    if (!URL.canParse(given) || !protocols.includes(new URL(given).protocol.slice(0, -1)))
      throw new ValueError(`must be an address such as ${protocols[0]}://host:port`)
    return given
  }
