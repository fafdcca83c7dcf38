import { TimeoutError } from '@nats-io/transport-node'
import type { Nats } from '../client/connection.ts'

/** The subject on which a server tells a user the user's own rights. */
export const ownRightsSubject = '$SYS.REQ.USER.INFO'

/** The rights of the user of a connection, as its server reports them. */
export interface OwnRights {
  /** Whether the server limits the user at all. */
  readonly isRestricted: boolean
  /** Whether the server has accounts, and the user is in one of them. */
  readonly hasAccount: boolean
  /** Whether the user may publish to a subject, or to all subjects of a pattern. */
  mayPublish(subject: string): boolean
  /** Whether the user may subscribe to a subject or a pattern. */
  maySubscribe(subject: string): boolean
}

/** Whether a pattern of NATS selects all subjects of another one. */
export const covers = (pattern: string, subject: string): boolean => {
  const tokens = subject.split('.')
  const parts = pattern.split('.')
  for (const [index, part] of parts.entries()) {
    const token = tokens[index]
    if (part === '>') return token !== undefined
    if (token === undefined || token === '>') return false
    if (part !== '*' && part !== token) return false
  }
  return parts.length === tokens.length
}

/** Whether two patterns select a subject in common. */
export const overlap = (one: string, other: string): boolean => {
  const tokens = one.split('.')
  const others = other.split('.')
  for (let index = 0; ; index++) {
    const [a, b] = [tokens[index], others[index]]
    if (a === undefined || b === undefined) return a === b
    if (a === '>' || b === '>') return true
    if (a !== b && a !== '*' && b !== '*') return false
  }
}

/** The subjects that a server allows and denies for one operation. Without a list of allowed ones, it allows all. */
export interface Permission {
  readonly allow?: readonly string[]
  readonly deny?: readonly string[]
}

interface UserInfo {
  readonly data: {
    readonly account?: string
    readonly permissions?: { readonly publish?: Permission; readonly subscribe?: Permission }
  }
}

/** Whether permissions of a server allow all of a pattern. */
export const allows = ({ allow = [], deny = [] }: Permission, subject: string): boolean =>
  (allow.length === 0 || allow.some(pattern => covers(pattern, subject))) &&
  !deny.some(pattern => overlap(pattern, subject))

const attempts = 3
/** The account of all users of a server without accounts. */
const defaultAccount = '$G'
const known = new WeakMap<Nats, Promise<OwnRights>>()

const ask = async ({ connection }: Nats): Promise<OwnRights> => {
  for (let attempt = 1; ; attempt++)
    try {
      const { account, permissions } = (await connection.request(ownRightsSubject)).json<UserInfo>().data
      return {
        isRestricted: permissions?.publish !== undefined || permissions?.subscribe !== undefined,
        hasAccount: account !== undefined && account !== defaultAccount,
        mayPublish: subject => allows(permissions?.publish ?? {}, subject),
        maySubscribe: subject => allows(permissions?.subscribe ?? {}, subject),
      }
    } catch (error) {
      if (error instanceof TimeoutError && attempt < attempts) continue
      // The server has no system account, or the user may not ask. The server refuses each use of a missing right.
      return { isRestricted: false, hasAccount: false, mayPublish: () => true, maySubscribe: () => true }
    }
}

/** Resolves with the rights of the user of a connection, read once. Never rejects. */
export const ownRights = (nats: Nats): Promise<OwnRights> => {
  const rights = known.get(nats) ?? ask(nats)
  known.set(nats, rights)
  return rights
}
