/** The state of a system, as `GET /v1/admin/state` answers. A part that the process could not read is absent. */
export interface State {
  readonly at: string
  readonly streams?: readonly {
    readonly stream: string
    readonly messages: number
    readonly bytes: number
    readonly rate?: number
    readonly isLed: boolean
    readonly leader?: string
    readonly forecast?: { readonly days: number }
  }[]
  readonly edges?: readonly { readonly process: string; readonly sockets: number; readonly rate?: number }[]
  readonly projections?: readonly {
    readonly projection: string
    readonly generation: number
    readonly state: string
    readonly applied: number
    readonly events: number
    readonly lagEvents: number
    readonly rate: number
  }[]
  readonly deadLetters?: Readonly<Record<string, number>>
  readonly operations?: readonly {
    readonly operation: string
    readonly stream?: string
    readonly step: string
    readonly at: string
  }[]
}

/** Figures of the whole system at one time, ms since 1970. A figure that is not known is absent. */
export interface Sample {
  readonly at: number
  readonly messages?: number
  readonly sockets?: number
  readonly lag?: number
}

export interface Answer {
  readonly state: State
  readonly samples: readonly Sample[]
}

/** Thrown when the server refuses the token. */
export class RefusedError extends Error {}

/** Reads the state. The token is sent in a header, never in a URL. Rejects with RefusedError, or another Error. */
export const readState = async (token: string): Promise<Answer> => {
  const answer = await fetch('/v1/admin/state', {
    headers: { authorization: `Bearer ${token}` },
    signal: AbortSignal.timeout(10_000),
  })
  const body = await answer.json()
  if (answer.ok) return body
  const message = String(body?.error?.message ?? `status ${answer.status}`)
  throw answer.status === 401 || answer.status === 403 ? new RefusedError(message) : new Error(message)
}
