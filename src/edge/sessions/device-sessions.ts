import { type Static, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { CloseCode, Id } from '../../events/index.ts'
import type { Signals } from '../ports/signals.ts'
import type { Session } from './session.ts'
import type { SessionRegistry } from './session-registry.ts'

const Announcement = Type.Object({ k: Type.Literal('device'), user: Id, device: Id, session: Id })
const announcementCheck = TypeCompiler.Compile(Announcement)

/** One socket a user and device, on whatever edge: the later one replaces the earlier. Session ids are in order of time (UUIDv7). */
export class DeviceSessions {
  readonly #signals: Signals
  readonly #sessions: SessionRegistry

  constructor(signals: Signals, sessions: SessionRegistry) {
    this.#signals = signals
    this.#sessions = sessions
  }

  opened(session: Session): void {
    const { user, device, id } = session
    if (device === undefined) return
    this.#replace(user, device, id)
    this.#announce(user, device, id)
  }

  #announce(user: string, device: string, session: string): void {
    const announcement: Static<typeof Announcement> = { k: 'device', user, device, session }
    this.#signals.publish(user, announcement)
  }

  /** Whether a signal was about this. */
  heard(signal: unknown): boolean {
    if (!announcementCheck.Check(signal)) return false
    const { user, device, session } = signal
    this.#replace(user, device, session)
    // The node of the older session may have subscribed to the user's signals only after the newer one was announced.
    for (const newer of this.#sessions.of(user))
      if (newer.device === device && newer.id > session) this.#announce(user, device, newer.id)
    return true
  }

  #replace(user: string, device: string, by: string): void {
    for (const session of this.#sessions.of(user))
      if (session.device === device && session.id < by) session.end(CloseCode.replaced, 'replaced')
  }
}
