import type { Logger } from '../../base/logger.ts'
import { CloseCode, ConfabError } from '../../events/index.ts'
import type { Revocation, RevocationStore, StoredRevocation } from '../ports/revocation-store.ts'
import type { Identity, TokenVerifier } from '../ports/token-verifier.ts'
import type { Session } from './session.ts'
import type { SessionRegistry } from './session-registry.ts'

const sweepMs = 60_000
/** Sessions that are closed in one turn of the event loop. */
const closesPerTurn = 1_000
/** Tokens of one user that may be revoked one by one. `end` of a user revokes any number of them. */
const tokensOfUser = 100

const revoked = (): ConfabError =>
  new ConfabError('UNAUTHENTICATED', 'The token is not valid: it was revoked.')

interface Until {
  /** When no token that the entry concerns can be valid any more, ms since 1970. */
  readonly until: number
}

/** The revocations in force. A pure data structure: the caller passes the time. */
export class RevocationList {
  readonly #keepMs: number
  readonly #users = new Map<string, Until & { readonly before: number }>()
  readonly #tokens = new Map<string, Until & { readonly user: string }>()
  readonly #tokensOf = new Map<string, number>()
  #everyoneBefore = 0

  /** `keepMs`: the longest time that a token is valid. */
  constructor(keepMs: number) {
    this.#keepMs = keepMs
  }

  /** Number of revoked users and tokens. */
  get size(): number {
    return this.#users.size + this.#tokens.size
  }

  add(revocation: StoredRevocation): void {
    const until = revocation.at + this.#keepMs
    if (revocation.of === 'everyone') this.#everyoneBefore = Math.max(this.#everyoneBefore, revocation.before)
    else if (revocation.of === 'user') {
      const { user, before } = revocation
      const known = this.#users.get(user)
      this.#users.set(user, {
        before: Math.max(before, known?.before ?? 0),
        until: Math.max(until, known?.until ?? 0),
      })
    } else {
      const { user, token } = revocation
      if (!this.#tokens.has(token)) this.#tokensOf.set(user, this.tokensOf(user) + 1)
      this.#tokens.set(token, { user, until })
    }
  }

  concerns({ user, token, issuedAt }: Identity): boolean {
    const issuedMs = issuedAt * 1_000
    return (
      issuedMs < this.#everyoneBefore ||
      issuedMs < (this.#users.get(user)?.before ?? 0) ||
      this.#tokens.has(token)
    )
  }

  /** Number of tokens of a user that are revoked one by one. */
  tokensOf(user: string): number {
    return this.#tokensOf.get(user) ?? 0
  }

  /** Drops what concerns expired tokens only. */
  sweep(now: number): void {
    for (const [user, { until }] of this.#users) if (until <= now) this.#users.delete(user)
    for (const [token, { user, until }] of this.#tokens) {
      if (until > now) continue
      this.#tokens.delete(token)
      const left = this.tokensOf(user) - 1
      if (left === 0) this.#tokensOf.delete(user)
      else this.#tokensOf.set(user, left)
    }
  }
}

export interface RevocationParts {
  readonly tokens: TokenVerifier
  /** Without it, revocations concern this node only, until it stops. */
  readonly store: RevocationStore | undefined
  readonly sessions: SessionRegistry
  readonly logger: Logger
}

/**
 * Verifies tokens, refuses revoked ones, and closes their sessions. While this node does not receive the revocations of
 * the system, it accepts no token: UNAVAILABLE. Open sessions continue meanwhile.
 */
export class Revocations implements TokenVerifier {
  readonly #parts: RevocationParts
  readonly #list: RevocationList
  #timer: NodeJS.Timeout | undefined

  constructor(parts: RevocationParts) {
    this.#parts = parts
    this.#list = new RevocationList(parts.store?.keepMs ?? Number.POSITIVE_INFINITY)
  }

  get isCurrent(): boolean {
    return this.#parts.store?.isCurrent ?? true
  }

  /** Resolves when the stored revocations are in force. Call it before the node accepts clients. */
  async start(): Promise<void> {
    await this.#parts.store?.follow(revocation => this.#receive(revocation))
    this.#timer = setInterval(() => this.#list.sweep(Date.now()), sweepMs).unref()
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#parts.store?.close()
  }

  async verify(token: string): Promise<Identity> {
    const identity = await this.#parts.tokens.verify(token)
    this.require(identity)
    return identity
  }

  /**
   * Throws ConfabError UNAUTHENTICATED for a revoked token. Call it again in the turn in which a session opens: the
   * token may have been revoked since it was verified.
   */
  require(identity: Identity): void {
    if (!this.isCurrent)
      throw new ConfabError('UNAVAILABLE', 'This node does not know which tokens are revoked. Try again.')
    if (this.#list.concerns(identity)) throw revoked()
  }

  /** Revokes a token of a user, at all nodes. Rejects with ConfabError RATE_LIMITED or UNAVAILABLE. */
  async revokeToken(user: string, token: string): Promise<void> {
    if (this.#list.tokensOf(user) >= tokensOfUser)
      throw new ConfabError('RATE_LIMITED', `The user has ended ${tokensOfUser} sessions. Ask the operator.`)
    const revocation: Revocation = { of: 'token', user, token }
    const { store, logger } = this.#parts
    if (store === undefined) {
      this.#receive({ ...revocation, at: Date.now() })
      return
    }
    try {
      await store.put(revocation)
    } catch (error) {
      logger.warn({ err: error }, 'revocation not stored')
      throw new ConfabError('UNAVAILABLE', 'The revocation was not stored. Try again.', { cause: error })
    }
  }

  #receive(revocation: StoredRevocation): void {
    this.#list.add(revocation)
    const { sessions } = this.#parts
    const concerned = revocation.of === 'everyone' ? sessions : sessions.authenticatedAs(revocation.user)
    const found = [...concerned].filter(session => this.#isRevoked(session))
    if (found.length > 0) this.#close(found)
  }

  #isRevoked({ identity }: Session): boolean {
    return identity !== undefined && this.#list.concerns(identity)
  }

  #close(found: readonly Session[]): void {
    for (const session of found.slice(0, closesPerTurn)) session.end(CloseCode.revoked, 'revoked')
    this.#parts.logger.info({ sessions: Math.min(found.length, closesPerTurn) }, 'revoked sessions closed')
    if (found.length > closesPerTurn) setImmediate(() => this.#close(found.slice(closesPerTurn)))
  }
}
