import { Session } from '../../src/edge/sessions/session.ts'

/** Creates an open session without a socket: frames are dropped. */
export const openSession = (user = ''): Session => {
  const session = new Session('json', undefined, 0)
  session.user = user
  session.phase = 'open'
  session.ws = {
    send() {},
    cork() {},
    getBufferedAmount: () => 0,
    subscribe() {},
    unsubscribe() {},
    end() {},
  }
  return session
}
