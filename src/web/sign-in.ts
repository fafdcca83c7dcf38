import { type ConfabClient, createClient } from '../client/index.ts'
import { Chat } from './chat.ts'

/** Who is signed in on this tab: a user of a development server, or the bearer of a token. */
export type Credentials = { readonly user: string } | { readonly token: string }

const storageKey = 'confab.credentials'

/** What a sign-in link brings (`?user=…` or `#token=…`, taken out of the address), else what this tab had. */
export const credentialsHere = (): Credentials | undefined => {
  const url = new URL(location.href)
  const user = url.searchParams.get('user')
  const token = new URLSearchParams(url.hash.slice(1)).get('token')
  if (user === null && token === null) {
    const stored = sessionStorage.getItem(storageKey)
    return stored === null ? undefined : JSON.parse(stored)
  }
  url.searchParams.delete('user')
  if (token !== null) url.hash = ''
  history.replaceState(null, '', url)
  return token !== null ? { token } : { user: user ?? '' }
}

export const forget = (): void => sessionStorage.removeItem(storageKey)

const devToken = async (user: string): Promise<string> => {
  const response = await fetch(`/v1/dev/token?user=${encodeURIComponent(user)}`)
  if (response.status === 404)
    throw new Error('This server signs nobody in by name. Open the page with #token=… in its address.')
  const answer = await response.json().catch(() => ({}))
  if (!response.ok || typeof answer.token !== 'string')
    throw new Error(answer.error?.message ?? `The server gave no token (${response.status}).`)
  return answer.token
}

/** So that the tab is signed in when it is loaded again. */
export const remember = (credentials: Credentials): void =>
  sessionStorage.setItem(storageKey, JSON.stringify(credentials))

/** A client that isn't connected yet. Rejects where there is no token to be had. */
export const clientFor = async (credentials: Credentials): Promise<ConfabClient> => {
  const address = new URL('/v1/ws', location.href)
  address.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:'
  const first = 'user' in credentials ? await devToken(credentials.user) : credentials.token
  let fresh: string | undefined = first
  return createClient({
    url: address.href,
    token: async () => {
      const token = fresh ?? ('user' in credentials ? await devToken(credentials.user) : credentials.token)
      fresh = undefined
      return token
    },
  })
}

/** Connects. Rejects with why it cannot; where the server is only away, the page can wait for it as well as later. */
export const signIn = async (credentials: Credentials): Promise<Chat> => {
  const client = await clientFor(credentials)
  const chat = new Chat(client)
  await client.connect()
  remember(credentials)
  return chat
}
