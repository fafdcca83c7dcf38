import { redact } from '../../base/redact.ts'
import { CliError } from '../command/cli-error.ts'
import { print, styled, table } from '../terminal/output.ts'

/** The result of one check. `what` names the subject, `advice` says what to do when the subject is not well. */
export interface Finding {
  readonly what: string
  readonly state: 'well' | 'ill' | 'note'
  readonly detail: string
  readonly advice?: string
  /** The region of the subject, in a system of several regions. */
  readonly where?: string
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

const marks = { well: ['green', '✓'], ill: ['red', '✗'], note: ['yellow', '·'] } as const

/** Prints findings as a table, or as JSON. */
export const printFindings = async (
  findings: readonly Finding[],
  isJson: boolean | undefined,
): Promise<void> => {
  if (isJson) return print(`${JSON.stringify(findings, undefined, 2)}\n`)
  const hasPlaces = findings.some(({ where }) => where !== undefined)
  await print(
    table(
      [
        { title: '' },
        { title: 'what' },
        ...(hasPlaces ? [{ title: 'where' }] : []),
        { title: 'found' },
        { title: 'to do' },
      ],
      findings.map(({ what, where, state, detail, advice }) => {
        const [style, mark] = marks[state]
        return [styled(style, mark), what, ...(hasPlaces ? [where ?? ''] : []), detail, advice ?? '']
      }),
    ),
  )
}

/** Throws CliError when a finding is ill. */
export const refuseIll = (findings: readonly Finding[]): void => {
  const bad = new Set(
    findings
      .filter(({ state }) => state === 'ill')
      .map(({ what, where }) => (where === undefined ? what : `${what} (${where})`)),
  )
  if (bad.size > 0) throw new CliError('NOT_READY', `${[...bad].join(', ')}: see above`)
}
