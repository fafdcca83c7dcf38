import type { Session } from './session.ts'

/** The user that sends a request: over a session, or over HTTP without one. */
export interface Caller {
  readonly user: string
  readonly session?: Session
  readonly traceparent?: string
}

/** The token of an `Authorization` header, or undefined. RFC 6750, 2.1. */
export const bearerToken = (header: string): string | undefined =>
  /^bearer +([A-Za-z0-9._~+/=-]+)$/i.exec(header)?.[1]
