import { resolve } from 'node:path'
import { type OptionType, ValueError } from './option.ts'

export const KiB = 1024
export const MiB = 1024 ** 2
export const GiB = 1024 ** 3
export const seconds = 1_000
export const minutes = 60_000
export const hours = 3_600_000
export const days = 86_400_000

const durationUnits = { ms: 1, s: seconds, m: minutes, h: hours, d: days } as const
const shownSizeUnits = { B: 1, KiB, MiB, GiB } as const
const sizeUnits = { ...shownSizeUnits, kB: 1e3, MB: 1e6, GB: 1e9 } as const

type Units = Readonly<Record<string, number>>

const parseQuantity = (units: Units, raw: unknown): number | undefined => {
  const match = /^(\d+(?:\.\d+)?)\s*([A-Za-z]+)$/.exec(String(raw).trim())
  const unit = match?.[2] === undefined ? undefined : units[match[2]]
  return unit === undefined ? undefined : Math.round(Number(match?.[1]) * unit)
}

/** Writes a quantity exactly, with the largest unit that leaves no fraction. */
const writeQuantity =
  (units: Units) =>
  (value: number): string => {
    let best = Object.keys(units)[0] ?? ''
    for (const [unit, factor] of Object.entries(units))
      if (value > 0 && value % factor === 0 && factor > units[best]!) best = unit
    return `${value / units[best]!}${best}`
  }

const quantity = (
  name: string,
  units: Units,
  shownUnits: Units,
  description: string,
  min: number,
  max: number,
): OptionType<number> => {
  const write = writeQuantity(shownUnits)
  const range = `${write(min)} to ${write(max)}`
  return {
    name,
    range,
    write,
    parse: raw => {
      const value = parseQuantity(units, raw)
      if (value === undefined) throw new ValueError(`must be ${description}`)
      if (value < min || value > max) throw new ValueError(`must be from ${range}`)
      return value
    },
  }
}

/** A duration in ms. Operators write it with its unit: `500ms`, `10s`, `2m`. */
export const duration = (min: number, max: number): OptionType<number> =>
  quantity(
    'duration',
    durationUnits,
    durationUnits,
    'a time with its unit, such as 500ms, 10s or 2m',
    min,
    max,
  )

/** A number of bytes. Operators write it with its unit: `64MiB`, `1GB`. */
export const size = (min: number, max: number): OptionType<number> =>
  quantity('size', sizeUnits, shownSizeUnits, 'a size with its unit, such as 512KiB, 64MiB or 1GB', min, max)

export const integer = (min: number, max: number): OptionType<number> => ({
  name: 'integer',
  range: `${min} to ${max}`,
  parse: raw => {
    const value = typeof raw === 'number' ? raw : /^\d+$/.test(String(raw).trim()) ? Number(raw) : Number.NaN
    if (!Number.isSafeInteger(value) || value < min || value > max)
      throw new ValueError(`must be a whole number from ${min} to ${max}`)
    return value
  },
})

/** A share, 0 to 1. */
export const ratio: OptionType<number> = {
  name: 'number',
  range: '0 to 1',
  parse: raw => {
    const value = typeof raw === 'string' && raw.trim() !== '' ? Number(raw) : raw
    if (typeof value !== 'number' || !(value >= 0 && value <= 1))
      throw new ValueError('must be a number from 0 to 1')
    return value
  },
}

/** A port to listen on, 0 for a free one, or `off`. */
export const portOrOff: OptionType<number | 'off'> = {
  name: 'integer',
  range: '0 to 65535, or off',
  parse: (raw, base) => (raw === 'off' || raw === false ? 'off' : integer(0, 65_535).parse(raw, base)),
}

/** As `type`, or `off` (0): no bound. */
export const orOff = (type: OptionType<number>): OptionType<number> => ({
  name: type.name,
  range: `${type.range}, or off`,
  parse: (raw, base) => (/^(0|off)$/.test(String(raw).trim()) ? 0 : type.parse(raw, base)),
  write: value => (value === 0 ? 'off' : (type.write?.(value) ?? String(value))),
})

export const boolean: OptionType<boolean> = {
  name: 'boolean',
  range: 'true, false',
  parse: raw => {
    if (raw === true || raw === 'true' || raw === '1') return true
    if (raw === false || raw === 'false' || raw === '0') return false
    throw new ValueError('must be true or false')
  },
}

export const text: OptionType<string> = {
  name: 'text',
  parse: raw => {
    if (typeof raw !== 'string' || raw.trim() === '') throw new ValueError('must be a text that is not empty')
    return raw.trim()
  },
}

/** A text that a pattern matches; `description` completes "must be …". */
export const textMatching = (pattern: RegExp, description: string): OptionType<string> => ({
  name: 'text',
  range: description,
  parse: (raw, base) => {
    const value = text.parse(raw, base)
    if (!pattern.test(value)) throw new ValueError(`must be ${description}`)
    return value
  },
})

/** A file or folder; a relative path starts from the YAML file's folder, or else from the working directory. */
export const path: OptionType<string> = {
  name: 'path',
  parse: (raw, base) => resolve(base, text.parse(raw, base)),
}

export const oneOf = <const T extends readonly string[]>(...values: T): OptionType<T[number]> => ({
  name: 'text',
  range: values.join(', '),
  parse: raw => {
    if (!values.includes(String(raw))) throw new ValueError(`must be one of ${values.join(', ')}`)
    return String(raw)
  },
})

/** Values separated by commas, or a list in YAML; at least one. */
export const list = <T>(type: OptionType<T>): OptionType<readonly T[]> => ({
  name: `list of ${type.name}`,
  ...(type.range === undefined ? {} : { range: type.range }),
  parse: (raw, base) => {
    const items = Array.isArray(raw) ? raw : String(raw).split(',')
    const values = items
      .map(item => (typeof item === 'string' ? item.trim() : item))
      .filter(item => item !== '')
      .map(item => type.parse(item, base))
    if (values.length === 0) throw new ValueError('must name at least one')
    return values
  },
  write: values => values.map(value => type.write?.(value) ?? String(value)).join(','),
})

/** An address of one of the protocols; the first protocol is added where the value names none. */
export const url = (...protocols: readonly string[]): OptionType<string> => ({
  name: 'URL',
  range: protocols.map(protocol => `${protocol}://…`).join(', '),
  parse: (raw, base) => {
    const value = text.parse(raw, base)
    const withProtocol = value.includes('://') ? value : `${protocols[0]}://${value}`
    if (!URL.canParse(withProtocol) || !protocols.includes(new URL(withProtocol).protocol.slice(0, -1)))
      throw new ValueError(`must be an address such as ${protocols[0]}://host:port`)
    return withProtocol
  },
})

/** An origin of a web page (RFC 6454), or `*` for all origins. */
export const origin: OptionType<string> = {
  name: 'origin',
  range: 'https://host[:port], or *',
  parse: (raw, base) => {
    const value = text.parse(raw, base)
    if (value === '*') return value
    const isOrigin = /^https?:\/\//.test(value) && URL.canParse(value) && new URL(value).origin === value
    if (!isOrigin) throw new ValueError('must be an origin such as https://chat.example.com, or *')
    return value
  },
}

/** As `origin`, or `self` for the origin of this server. */
export const socketOrigin: OptionType<string> = {
  name: 'origin',
  range: 'self, https://host[:port], or *',
  parse: (raw, base) => (raw === 'self' ? raw : origin.parse(raw, base)),
}
