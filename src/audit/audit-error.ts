import { CodedError } from '../base/coded-error.ts'

/** Problems with the audit stream. docs/errors.md lists them; a test compares both. */
export const AuditProblem = {
  /** The stream cannot be written or read. */
  unavailable: 'AUDIT_UNAVAILABLE',
  /** A record was changed, removed, moved or forged. */
  broken: 'AUDIT_BROKEN',
} as const
export type AuditProblem = (typeof AuditProblem)[keyof typeof AuditProblem]

/** Thrown when an action cannot be recorded, or when the chain is broken. The message is for operators. */
export class AuditError extends CodedError<AuditProblem> {}
