import { jittered } from '../../base/backoff.ts'
import { ConfabError } from '../../events/index.ts'
import type { EdgeLimits } from '../ports/edge-limits.ts'
import type { Identity, TokenVerifier } from '../ports/token-verifier.ts'
import { KeyedRate } from './keyed-rate.ts'

type TokenLimits = Pick<EdgeLimits, 'addressFailures' | 'burstMs' | 'meters'>

/**
 * Verifies the tokens of clients, over every transport. The verification costs work, and an invalid token has no user
 * whose rate could count it: an address that sends many is refused before its tokens are verified.
 */
export class ClientTokens {
  readonly #tokens: TokenVerifier
  readonly #failures: KeyedRate
  readonly #onRefused: () => void

  constructor(limits: TokenLimits, tokens: TokenVerifier, onRefused: () => void) {
    const { addressFailures, burstMs, meters } = limits
    this.#tokens = tokens
    this.#failures = new KeyedRate({ perSecond: addressFailures, burstMs }, meters)
    this.#onRefused = onRefused
  }

  /**
   * Returns the identity in a token. `address`: what counts as the address of the client, as `addressKey` returns it.
   * Rejects with ConfabError: UNAUTHENTICATED or UNAVAILABLE as the verifier does, OVERLOADED with `retryAfterMs`.
   */
  async verify(address: string, token: string): Promise<Identity> {
    const waitMs = this.#failures.waitMs(address, performance.now())
    if (waitMs > 0) {
      this.#onRefused()
      throw new ConfabError('OVERLOADED', 'This address has sent too many invalid tokens. Retry later.', {
        retryAfterMs: jittered(waitMs),
      })
    }
    try {
      return await this.#tokens.verify(token)
    } catch (error) {
      if (ConfabError.is(error) && error.code === 'UNAUTHENTICATED')
        this.#failures.take(address, performance.now())
      throw error
    }
  }
}
