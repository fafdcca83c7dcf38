import type { Session } from './session.ts'

/** The authenticated user of a request. Requests over HTTP have no session. */
export interface Caller {
  readonly user: string
  readonly session?: Session
  readonly traceparent?: string
}

/** Returns the token of an `Authorization` header (RFC 6750, 2.1), or undefined. */
export const bearerToken = (header: string): string | undefined =>
  /^bearer +([A-Za-z0-9._~+/=-]+)$/i.exec(header)?.[1]
