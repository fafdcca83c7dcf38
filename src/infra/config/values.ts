/** Why a value does not do; the caller adds where it stands. */
export class ValueError extends Error {
  static is = (error: unknown): error is ValueError => error instanceof ValueError
}

/** Turns what a flag, the environment or YAML holds into an option's value. Throws ValueError. `base` is what relative paths start from. */
export interface Parse<T> {
  (raw: unknown, base: string): T
  /** What values are good, for the reference. */
  readonly range?: string
  /** A value as one would write it, where that is not its own text. */
  write?(value: T): string
}

const durationUnits = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const sizeUnits = { B: 1, kB: 1000, MB: 1e6, GB: 1e9, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 } as const

const withUnit = (units: Record<string, number>, raw: unknown): number | undefined => {
  const match = /^(\d+(?:\.\d+)?)\s*([A-Za-z]+)$/.exec(String(raw).trim())
  const unit = match?.[2] === undefined ? undefined : units[match[2]]
  return unit === undefined ? undefined : Math.round(Number(match?.[1]) * unit)
}

/** With the largest unit that leaves no fraction. */
const written =
  (units: Record<string, number>) =>
  (value: number): string => {
    let best = Object.keys(units)[0] ?? ''
    for (const [unit, times] of Object.entries(units))
      if (value > 0 && value % times === 0 && times > units[best]!) best = unit
    return `${value / units[best]!}${best}`
  }

const quantity = (
  units: Record<string, number>,
  writing: Record<string, number>,
  what: string,
  least: number,
  most: number,
): Parse<number> => {
  const write = written(writing)
  const range = `${write(least)} to ${write(most)}`
  const parse = (raw: unknown): number => {
    const value = withUnit(units, raw)
    if (value === undefined) throw new ValueError(`must be ${what}`)
    if (value < least || value > most) throw new ValueError(`must be from ${range}`)
    return value
  }
  return Object.assign(parse, { range, write })
}

/** A time in ms, written with its unit: `500ms`, `10s`, `2m`. */
export const duration = (least: number, most: number): Parse<number> =>
  quantity(durationUnits, durationUnits, 'a time with its unit, such as 500ms, 10s or 2m', least, most)

const { B, KiB, MiB, GiB } = sizeUnits

/** A number of bytes, written with its unit: `64MiB`, `1GB`. */
export const size = (least: number, most: number): Parse<number> =>
  quantity(sizeUnits, { B, KiB, MiB, GiB }, 'a size with its unit, such as 512KiB, 64MiB or 1GB', least, most)

export const integer = (least: number, most: number): Parse<number> => {
  const parse = (raw: unknown): number => {
    const value = typeof raw === 'number' ? raw : /^\d+$/.test(String(raw).trim()) ? Number(raw) : Number.NaN
    if (!Number.isSafeInteger(value) || value < least || value > most)
      throw new ValueError(`must be a whole number from ${least} to ${most}`)
    return value
  }
  return Object.assign(parse, { range: `${least} to ${most}` })
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
