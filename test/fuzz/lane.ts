import type fc from 'fast-check'
import type { Fields } from './arbitrary-requests.ts'
import { Earlier } from './vocabulary.ts'

/** Where the fuzzed server listens, and what authenticates its clients. */
export interface Target {
  readonly port: number
  readonly grpcPort: number
  readonly adminPort: number
  /** Returns a token of a stranger. */
  token(user: string): string
  /** A token with the role `admin`. */
  readonly adminToken: string
}

/** A kind of client. Its cases run one after another, and those of other lanes run beside them. */
export interface Lane {
  readonly name: string
  readonly cases: fc.Arbitrary<unknown>
  /** Runs a case. Throws Finding when the server does what it must not do. */
  run(given: unknown): Promise<void>
}

/** Creates a lane, whose cases have a type of their own. */
export const lane = <T>(name: string, cases: fc.Arbitrary<T>, run: (given: T) => Promise<void>): Lane => ({
  name,
  cases,
  run: given => run(given as T),
})

/** Time for an answer, ms. The server and the fuzzer share the machine. */
export const answerMs = 30_000

/** Returns the loopback address of a client: limits by address count few clients together. */
export const addressOf = (net: number, client: number): string =>
  `127.${net}.${(client >> 8) & 0xff}.${1 + (client % 250)}`

const firstOf = (list: unknown): Fields | undefined => (Array.isArray(list) ? (list[0] as Fields) : undefined)

/** The newest values of earlier answers to a client, by the placeholder of the fields and paths that take one. */
export class EarlierValues {
  readonly #values = new Map<string, unknown>()

  /** Takes over the values of an answer. */
  note(answer: Fields): void {
    const session = firstOf(answer.sessions)
    const part = firstOf(answer.parts)
    const found: readonly (readonly [string, unknown])[] = [
      [Earlier.cursor, answer.cursor],
      [Earlier.mediaId, answer.mediaId],
      [Earlier.session, answer.session ?? session?.session],
      [Earlier.upload, part?.url],
      [Earlier.download, answer.url],
    ]
    for (const [placeholder, value] of found) if (value !== undefined) this.#values.set(placeholder, value)
  }

  /**
   * Returns a request with these values, in its fields and those of its attachments. Without a value, the placeholder
   * stays: a value that no field accepts.
   */
  in(fields: Fields): Fields {
    const filled = { ...fields }
    for (const [name, value] of Object.entries(fields)) {
      if (typeof value === 'string' && this.#values.has(value)) filled[name] = this.#values.get(value)
      if (name === 'attachments' && Array.isArray(value))
        filled[name] = value.map(one => (typeof one === 'object' && one !== null ? this.in(one) : one))
    }
    return filled
  }

  /** Returns a path with these values. */
  inPath(path: string): string {
    let filled = path
    for (const placeholder of Object.values(Earlier))
      filled = filled.replaceAll(placeholder, String(this.#values.get(placeholder) ?? '/v1/none'))
    return filled
  }
}
