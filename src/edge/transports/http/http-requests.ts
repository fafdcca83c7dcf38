import { ConfabError } from '../../../events/index.ts'

type Fields = Record<string, unknown>

const numbers = ['limit', 'after', 'before'] as const

/** A number where the text is one; else the text, for the schema to refuse. */
const asNumber = (text: string): number | string => (/^\d{1,16}$/.test(text) ? Number(text) : text)

const asBoolean = (text: string): boolean | string =>
  text === 'true' ? true : text === 'false' ? false : text

/** `tea:7,milk:9` as an object; what is no such list stays, for the schema to refuse. */
const asCursors = (text: string): Record<string, number> | string => {
  const pairs = [...text.matchAll(/([\w-]+):(\d{1,16})(,|$)/g)]
  if (pairs.map(([pair]) => pair).join('') !== text) return text
  return Object.fromEntries(pairs.map(([, c, seq]) => [c, Number(seq)]))
}

/** The request that the parameters of a route stand for. Unknown ones are ignored; whether it is a good one, the request's own check says. */
export const requestOfQuery = (
  t: 'history' | 'inbox' | 'undelivered' | 'search',
  query: URLSearchParams,
  path: Readonly<Record<string, string>> = {},
): Fields => {
  const fields: Fields = { id: 'http', t }
  for (const [name, text] of query) {
    if (name === 'id' || name === 't') continue
    if (name === 'hasMedia') fields[name] = asBoolean(text)
    else if (name === 'seen') fields[name] = t === 'inbox' ? asCursors(text) : asNumber(text)
    else if (name === 'limit' || (t === 'history' && numbers.some(number => number === name)))
      fields[name] = asNumber(text)
    else fields[name] = text
  }
  return { ...fields, ...path }
}

/** The object of a body. Throws ConfabError BAD_REQUEST. */
export const objectOfBody = (body: Buffer): Fields => {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch {
    value = undefined
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ConfabError('BAD_REQUEST', 'The body has to be one JSON object, in UTF-8.')
  return value as Fields
}
