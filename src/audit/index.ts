export { type ActionFacts, type ActionName, Actions, factsOf, type Recording } from './actions.ts'
export { AuditError, AuditProblem } from './audit-error.ts'
export {
  type ActionDetails,
  type Actor,
  type AuditLog,
  AuditTrail,
  type AuditTrailOptions,
} from './audit-trail.ts'
export type { Facts } from './facts.ts'
export {
  type AuditEntry,
  type AuditKey,
  AuditRecord,
  auditKeyOf,
  type ChainHead,
  genesis,
  headAt,
  parseRecord,
  recordBytes,
  sealRecord,
} from './record.ts'
export {
  type BreakKind,
  type ChainBreak,
  type ChainVerdict,
  ChainVerifier,
  type StoredRecord,
  type VerifyOptions,
} from './verify-chain.ts'
