import type { StreamDefinition } from '../log/stream-definitions.ts'
import { overlap, ownRightsSubject } from './own-rights.ts'
import {
  isBatchRequest,
  type NatsUser,
  type Needs,
  natsUsers,
  needsOf,
  operatorRequests,
  requestsWithManyAnswers,
} from './rights.ts'

/** The account that owns JetStream, with the user operator. */
export const logAccount = 'CONFAB'

/** Returns the account of a user. All users but `operator` have one of their own. */
export const accountOf = (user: NatsUser): string => (user === 'operator' ? logAccount : user.toUpperCase())

/** A subject that other accounts may import. */
export interface AccountExport {
  /** `service`: the other accounts publish to the subject. `stream`: they subscribe to it. */
  readonly kind: 'service' | 'stream'
  readonly subject: string
  /** Whether a request has several answers. */
  readonly hasManyAnswers: boolean
  readonly accounts: readonly string[]
}

/** A subject of an account, and its name in the account that imports it. */
export interface AccountImport {
  readonly kind: 'service' | 'stream'
  readonly account: string
  readonly subject: string
  readonly to: string
}

/** The subjects that an account shares with others. */
export interface Account {
  readonly exports: readonly AccountExport[]
  readonly imports: readonly AccountImport[]
  /** Subjects of messages that enter the account, with the subjects that the server gives them. */
  readonly mappings: Readonly<Record<string, string>>
}

/** Returns the name of a subject in the account of a process that publishes to it. */
export const outgoing = (subject: string): string => `out.${subject}`
/** Returns the name of the subject of a request in the account of a process that answers it. */
const incoming = (subject: string): string => `in.${subject}`

/** Returns a subject as the destination of a mapping, with what the wildcards of its source select. */
const destinationOf = (subject: string): string => {
  let wildcards = 0
  return subject.replaceAll('*', () => `{{wildcard(${++wildcards})}}`)
}

interface ImportOptions {
  /** The name of the subject in the account that imports it. Default: the same. */
  readonly to?: string
  readonly hasManyAnswers?: boolean
}

/** An account that is being described. */
class Draft implements Account {
  readonly name: string
  readonly mappings: Record<string, string> = {}
  readonly #exports = new Map<string, AccountExport>()
  readonly #imports = new Map<string, AccountImport>()

  constructor(name: string) {
    this.name = name
  }

  get exports(): readonly AccountExport[] {
    return [...this.#exports.values()]
  }

  get imports(): readonly AccountImport[] {
    return [...this.#imports.values()]
  }

  map(from: string, to: string): void {
    this.mappings[from] = destinationOf(to)
  }

  /** Imports a subject of another account, or of this one. */
  import(origin: Draft, kind: AccountImport['kind'], subject: string, options: ImportOptions = {}): void {
    const { to = subject, hasManyAnswers = false } = options
    this.#imports.set(`${kind} ${origin.name} ${subject}`, { kind, account: origin.name, subject, to })
    const key = `${kind} ${subject}`
    const accounts = new Set(origin.#exports.get(key)?.accounts).add(this.name)
    origin.#exports.set(key, { kind, subject, hasManyAnswers, accounts: [...accounts] })
  }
}

interface Role {
  readonly account: Draft
  readonly needs: Needs
}

const matching = (roles: readonly Role[], subject: string, list: keyof Needs): Draft[] =>
  roles
    .filter(({ needs }) => needs[list].some((one: string) => overlap(one, subject)))
    .map(({ account }) => account)

const addPublishing = (role: Role, roles: readonly Role[], log: Draft, subject: string): void => {
  const { account } = role
  const responders = matching(roles, subject, 'answer')
  const subscribers = matching(roles, subject, 'subscribe')
  if (responders.length + subscribers.length === 0)
    account.import(log, 'service', subject, { hasManyAnswers: isBatchRequest(subject) })
  const answersToo = responders.includes(account)
  if (subscribers.length > 0 || answersToo) account.map(subject, outgoing(subject))
  for (const subscriber of subscribers)
    subscriber.import(account, 'stream', outgoing(subject), { to: subject })
  for (const responder of responders) {
    responder.map(incoming(subject), subject)
    account.import(responder, 'service', incoming(subject), {
      to: answersToo ? outgoing(subject) : subject,
      hasManyAnswers: requestsWithManyAnswers.has(subject),
    })
  }
}

/**
 * Returns the accounts, by name. They share what the table of rights says, and nothing else. The server replaces the
 * reply subject of a request to another account by one of its own, so that answers reach only the account of a request.
 *
 * - JetStream's API and the subjects of streams are services of the account of the log.
 * - An account imports the messages of all accounts whose processes publish to a subject, also of its own.
 * - A request goes to all accounts whose processes answer it, also to its own.
 * - The same message has another name where it leaves an account and where it enters one. Under one name, it would
 *   arrive twice where an account publishes and receives, and pass on from account to account.
 */
export const accountsOf = (streams: readonly StreamDefinition[]): ReadonlyMap<string, Account> => {
  const log = new Draft(logAccount)
  const roles = natsUsers.map(user =>
    user === 'operator'
      ? { account: log, needs: operatorRequests }
      : { account: new Draft(accountOf(user)), needs: needsOf(user, streams) },
  )
  for (const role of roles) {
    const { publish, subscribe } = role.needs
    for (const subject of publish) if (subject !== ownRightsSubject) addPublishing(role, roles, log, subject)
    for (const subject of subscribe)
      if (matching(roles, subject, 'publish').length === 0) role.account.import(log, 'stream', subject)
  }
  return new Map(roles.map(({ account }) => [account.name, account]))
}
