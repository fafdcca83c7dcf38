import { type ConfabClient, createClient, userIdOfClaim } from '../client/index.ts'
import { Chat } from './chat.ts'
import { newDeviceName } from './device-name.ts'

/** The credentials of this tab: a user of a development server, or a token. */
export type Credentials = { readonly user: string } | { readonly token: string }

/** Timeout of a request for a token, ms. After a change of the network it may wait on a dead connection. */
const tokenMs = 5_000

const storageKey = 'confab.credentials'

/**
 * Returns the credentials of a sign-in link (`?user=…` or `#token=…`), and removes them from the address and the entry
 * of the history. Any page can make a link: ask the user before using them.
 */
export const credentialsOfLink = (): Credentials | undefined => {
  const url = new URL(location.href)
  const user = url.searchParams.get('user')
  const token = new URLSearchParams(url.hash.slice(1)).get('token')
  if (user === null && token === null) return undefined
  url.searchParams.delete('user')
  if (token !== null) url.hash = ''
  history.replaceState(null, '', url)
  const credentials = token !== null ? { token } : { user: user ?? '' }
  return Object.values(credentials).includes('') ? undefined : credentials
}

/** Returns the credentials that this tab is signed in with. */
export const credentialsOfTab = (): Credentials | undefined => {
  const stored = sessionStorage.getItem(storageKey)
  return stored === null ? undefined : JSON.parse(stored)
}

/** Returns the user that credentials name. The page cannot verify a token: it is for display only. */
export const userIn = (credentials: Credentials): string | undefined => {
  if ('user' in credentials) return credentials.user
  try {
    const part = credentials.token.split('.')[1] ?? ''
    const bytes = Uint8Array.from(atob(part.replace(/-/g, '+').replace(/_/g, '/')), char =>
      char.charCodeAt(0),
    )
    const { sub } = JSON.parse(new TextDecoder().decode(bytes)) as { sub?: unknown }
    return typeof sub === 'string' && userIdOfClaim(sub) !== undefined ? sub : undefined
  } catch {
    return undefined
  }
}

export const forget = (): void => sessionStorage.removeItem(storageKey)

/** Returns the storage of this origin; undefined where the browser denies it. */
export const localStore = (): Storage | undefined => {
  try {
    return localStorage
  } catch {
    return undefined
  }
}

const devToken = async (user: string): Promise<string> => {
  const signal = AbortSignal.timeout(tokenMs)
  const response = await fetch(`/v1/dev/token?user=${encodeURIComponent(user)}`, { signal })
  if (response.status === 404)
    throw new Error('This server has no sign-in by name. Open the page with #token=… in its address.')
  const answer = await response.json().catch(() => ({}))
  if (!response.ok || typeof answer.token !== 'string')
    throw new Error(answer.error?.message ?? `The server gave no token (${response.status}).`)
  return answer.token
}

/** Keeps the tab signed in after a reload. */
export const remember = (credentials: Credentials): void =>
  sessionStorage.setItem(storageKey, JSON.stringify(credentials))

/** Creates a client that is not connected yet. Rejects when no token is available. */
export const clientFor = async (credentials: Credentials): Promise<ConfabClient> => {
  const address = new URL('/v1/ws', location.href)
  address.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:'
  const first = 'user' in credentials ? await devToken(credentials.user) : credentials.token
  let fresh: string | undefined = first
  const device = newDeviceName(
    navigator.userAgent,
    crypto.getRandomValues(new Uint32Array(1))[0]!.toString(16).padStart(8, '0'),
  )
  return createClient({
    url: address.href,
    ...(device === undefined ? {} : { device }),
    token: async () => {
      const token = fresh ?? ('user' in credentials ? await devToken(credentials.user) : credentials.token)
      fresh = undefined
      return token
    },
  })
}

/** Connects. Rejects with the reason; when the server is only unreachable, the page can wait for it. */
export const signIn = async (credentials: Credentials): Promise<Chat> => {
  const client = await clientFor(credentials)
  const chat = new Chat(client, localStore())
  try {
    await client.connect()
  } catch (error) {
    chat.close()
    throw error
  }
  remember(credentials)
  return chat
}
