import { NatsProblem } from './nats-error.ts'

/** Something that a server refused because the user of the connection has no right to it. */
export interface Refusal {
  readonly operation: 'publish' | 'subscription'
  readonly subject: string
  /** Undefined for a token, and without credentials. */
  readonly user: string | undefined
}

/** Returns a refusal as a sentence for operators. */
export const refusalText = ({ operation, subject, user }: Refusal): string =>
  `${NatsProblem.rights}: the NATS user ${user ?? '(none)'} may not ${operation === 'publish' ? 'publish' : 'subscribe'} to ${subject}: see "NATS users" in docs/operations.md`

/** Reports of one kind and subject are repeated after this time, ms. */
const repeatMs = 60_000
/** Subjects that are reported in that time. Subjects contain ids, so there may be very many. */
const maxSubjects = 100

/** Decides which refusals are reported: each subject once a minute, and at most 100 subjects. */
export class RefusalReports {
  readonly #reported = new Set<string>()
  #since = Number.NEGATIVE_INFINITY

  isNew(operation: Refusal['operation'], subject: string): boolean {
    const now = performance.now()
    if (now - this.#since >= repeatMs) {
      this.#reported.clear()
      this.#since = now
    }
    const key = `${operation} ${subject}`
    if (this.#reported.has(key) || this.#reported.size >= maxSubjects) return false
    this.#reported.add(key)
    return true
  }
}
