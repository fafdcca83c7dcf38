import { type AnswerOf, ConfabError } from '../../events/index.ts'
import type { SessionFacts } from '../ports/session-queries.ts'
import type { Handler, RequestContext } from './request-context.ts'

const itemOf = (facts: SessionFacts, own: string | undefined): AnswerOf['sessions']['sessions'][number] => {
  const { session, device, transport, address, since, active } = facts
  return {
    session,
    ...(device === undefined ? {} : { device }),
    transport,
    ...(address === undefined ? {} : { address }),
    since: new Date(since).toISOString(),
    active: new Date(active).toISOString(),
    ...(session === own ? { current: true as const } : {}),
  }
}

/**
 * Handles `sessions`: finds the sessions of the caller at all nodes. With `end`, revokes the token of one of them,
 * which closes it, and leaves the sessions of that token out of the answer.
 */
export const sessions =
  ({ directory, tokens }: RequestContext): Handler<'sessions'> =>
  async ({ end }, { user, session: own }) => {
    const found = await directory.of(user)
    const ended = end === undefined ? undefined : found.find(({ session }) => session === end)
    if (end !== undefined && ended === undefined)
      throw new ConfabError('NOT_FOUND', 'end: you have no such session.', { field: '/end' })
    if (ended !== undefined) await tokens.revokeToken(user, ended.token)
    return {
      sessions: found
        .filter(({ token }) => token !== ended?.token)
        .sort((a, b) => b.since - a.since)
        .map(facts => itemOf(facts, own?.id)),
    }
  }
