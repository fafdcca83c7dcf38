import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { ConfabProcess } from './confab-process.ts'

type Json = Record<string, unknown>

const get = async (url: string, token: string): Promise<Json> => {
  const answer = await fetch(url, { headers: { authorization: `Bearer ${token}` } })
  if (answer.status !== 200) throw new Error(`${url}: ${answer.status} ${await answer.text()}`)
  return (await answer.json()) as Json
}

const post = async (confab: ConfabProcess, token: string, request: Json): Promise<Json> => {
  const answer = await fetch(`${confab.url}/v1/commands`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ id: '1', ...request }),
  })
  const body = (await answer.json()) as Json
  if (body.ok !== true) throw new Error(`${request.t}: ${JSON.stringify(body)}`)
  return body
}

/** Reads all answers of the views about these users: inboxes, members, whole histories, and a search per word. */
export const readViews = async (
  confab: ConfabProcess,
  users: readonly string[],
  words: readonly string[],
): Promise<Json> => {
  const answers: Json = {}
  for (const user of users) {
    const token = await confab.token(user)
    const inbox = await get(`${confab.url}/v1/inbox?limit=200`, token)
    answers[`inbox ${user}`] = inbox
    for (const { c } of inbox.items as { c: string }[]) {
      const { re, ...members } = await post(confab, token, { t: 'members', c, limit: 200 })
      answers[`members ${user} ${c}`] = members
      const events: unknown[] = []
      for (let after = 0, more = true; more; ) {
        const page = await get(`${confab.url}/v1/conversations/${c}/events?after=${after}&limit=200`, token)
        const found = page.events as { seq: number }[]
        events.push(...found)
        after = found.at(-1)?.seq ?? after
        more = page.more === true
      }
      answers[`history ${user} ${c}`] = events
    }
    for (const word of words) {
      const hits: unknown[] = []
      // Cursors differ between indices; the pages they lead to do not.
      for (let cursor: unknown = '', first = true; first || cursor !== undefined; first = false) {
        const query = `limit=100&q=${encodeURIComponent(word)}${first ? '' : `&cursor=${cursor}`}`
        const page = await get(`${confab.url}/v1/search?${query}`, token)
        hits.push(...(page.hits as unknown[]))
        cursor = page.cursor
      }
      answers[`search ${user} ${word}`] = hits
    }
  }
  return answers
}

/** The assertions of a test that compares views. */
interface Asserts {
  same(actual: unknown, expected: unknown, message: string): unknown
  strictSame(actual: unknown, expected: unknown, message: string): unknown
}

const comparisons = 10
const pauseMs = 1_000

/**
 * Compares the answers of two servers, one assertion for each query: a failure shows only what differs. The views
 * follow the log, and on a busy machine a worker may report the end of the log as it was seconds ago. So answers that
 * differ are read again, up to ten times.
 */
export const sameViews = async (
  t: Asserts,
  read: { readonly actual: () => Promise<Json>; readonly expected: () => Promise<Json> },
  message: string,
): Promise<void> => {
  const both = async () => [await read.actual(), await read.expected()] as const
  let [actual, expected] = await both()
  for (let more = comparisons - 1; more > 0 && !isDeepStrictEqual(actual, expected); more--) {
    await sleep(pauseMs)
    ;[actual, expected] = await both()
  }
  t.same(Object.keys(actual).sort(), Object.keys(expected).sort(), `${message}: the same queries`)
  for (const key of Object.keys(expected)) t.strictSame(actual[key], expected[key], `${message}: ${key}`)
}
