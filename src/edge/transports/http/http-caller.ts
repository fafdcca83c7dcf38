import { ConfabError } from '../../../events/index.ts'
import type { TokenVerifier } from '../../ports/token-verifier.ts'
import type { Caller } from '../../sessions/caller.ts'
import { bearerToken } from '../../sessions/caller.ts'
import type { Exchange } from './http-exchange.ts'

const traceparentPattern = /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/

/** Who asks over HTTP. Rejects with ConfabError UNAUTHENTICATED. */
export const callerOf = async (exchange: Exchange, tokens: TokenVerifier): Promise<Caller> => {
  const token = bearerToken(exchange.authorization)
  if (token === undefined)
    throw new ConfabError('UNAUTHENTICATED', 'There is no token in the header Authorization: Bearer ….')
  const { user } = await tokens.verify(token)
  const { traceparent } = exchange
  return traceparentPattern.test(traceparent) ? { user, traceparent } : { user }
}
