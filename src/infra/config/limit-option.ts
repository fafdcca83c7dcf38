import type { Option } from './options.ts'
import type { Parse } from './values.ts'

/** `edge.inFlight` is `CONFAB_EDGE_IN_FLIGHT` in the environment. */
const variableOf = (key: string): string =>
  `CONFAB_${key.replace(/[A-Z]/g, '_$&').replaceAll('.', '_').toUpperCase()}`

/** An option that is a number: a bound. */
export const limit = (key: string, parse: Parse<number>, fallback: number, doc: string): Option<number> => ({
  key,
  env: variableOf(key),
  parse,
  fallback,
  doc,
})

/** As `parse`, or 0 or `off`: no bound at all. */
export const orOff = (parse: Parse<number>): Parse<number> =>
  Object.assign(
    (raw: unknown, base: string) => (/^(0|off)$/.test(String(raw).trim()) ? 0 : parse(raw, base)),
    {
      range: `${parse.range ?? ''}, or off`,
      write: (value: number) => (value === 0 ? 'off' : (parse.write?.(value) ?? String(value))),
    },
  )

/** A group's options: one for each of its fields. */
export type OptionsOf<T> = { readonly [K in keyof T]: Option<T[K]> }
