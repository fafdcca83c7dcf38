import { ConfabError } from '../../events/index.ts'
import type { Handler, RequestContext } from './request-context.ts'

/** Handles `sync`: answers at once, and sends the missed events of the conversations as pushes after the answer. */
export const sync =
  ({ access, admission, catchUp }: RequestContext): Handler<'sync'> =>
  (request, caller) => {
    const { session } = caller
    if (session === undefined)
      throw new ConfabError('BAD_REQUEST', 't: sync needs a session. Send it over a WebSocket or gRPC.', {
        field: '/t',
      })
    access.requireFresh()
    if (catchUp.isFull(session))
      throw new ConfabError('OVERLOADED', 'Too many conversations wait for catch-up. Wait for some of them.')
    // The catch-up starts after the answer and counts as an unanswered request until it has finished.
    admission.begin(session)
    const { cursors, epoch = catchUp.epoch } = request
    queueMicrotask(() => void catchUp.resume(session, cursors, epoch).finally(() => admission.end(session)))
    return {}
  }

/** Handles `ping`: returns the server's time. */
export const ping = (): Handler<'ping'> => () => ({ at: new Date().toISOString() })
