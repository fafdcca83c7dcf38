import { redact } from '../../base/redact.ts'

/** The result of one check. `what` names the subject, `advice` says what to do when the subject is not well. */
export interface Finding {
  readonly what: string
  readonly state: 'well' | 'ill' | 'note'
  readonly detail: string
  readonly advice?: string
}

export const well = (what: string, detail: string): Finding => ({
  what,
  state: 'well',
  detail: redact(detail),
})
export const ill = (what: string, detail: string, advice: string): Finding => ({
  what,
  state: 'ill',
  detail: redact(detail),
  advice,
})
export const hint = (what: string, detail: string, advice?: string): Finding => ({
  what,
  state: 'note',
  detail: redact(detail),
  ...(advice === undefined ? {} : { advice }),
})

/** Advice about events that the log has lost. */
export const damageAdvice = 'see "Events are missing from the log" in docs/operations.md'
