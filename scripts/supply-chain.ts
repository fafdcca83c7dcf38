import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { type LockedPackage, shippedPackages } from './shipped-packages.ts'

const root = join(import.meta.dirname, '..')

/** SPDX licences that packages of a release may have. All permit redistribution with a notice, or without. */
const allowedLicenses: ReadonlySet<string> = new Set([
  '0BSD',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BlueOak-1.0.0',
  'ISC',
  'MIT',
  'Unlicense',
])

/** Whether an SPDX expression leaves a choice of allowed licences only. Exceptions and parentheses are not read. */
export const isAllowed = (license = ''): boolean =>
  license.split(' OR ').some(choice => choice.split(' AND ').every(one => allowedLicenses.has(one)))

/** Returns what is wrong with the licences of packages, one line each. */
export const licenseProblems = (packages: readonly LockedPackage[]): string[] =>
  packages
    .filter(({ license }) => !isAllowed(license))
    .map(({ name, version, license = 'none' }) => `${name}@${version}: licence ${license} is not allowed`)

/** The answer of `npm audit --json`. */
export interface AuditReport {
  readonly vulnerabilities?: Readonly<
    Record<string, { readonly severity: string; readonly nodes: readonly string[] }>
  >
}

const failing: ReadonlySet<string> = new Set(['high', 'critical'])

/**
 * Returns the known vulnerabilities of a report, one line each. `problems`: severe ones of packages that a release
 * contains. `notes`: all others. Undefined: the report has none because the registry does not allow audits.
 */
export const readAudit = (
  { vulnerabilities }: AuditReport,
  packages: readonly LockedPackage[],
): { problems: string[]; notes: string[] } | undefined => {
  if (vulnerabilities === undefined) return undefined
  const shipped = new Set(packages.map(({ path }) => path))
  const problems: string[] = []
  const notes: string[] = []
  for (const [name, { severity, nodes }] of Object.entries(vulnerabilities)) {
    const isProblem = failing.has(severity) && nodes.some(path => shipped.has(path))
    ;(isProblem ? problems : notes).push(`${name}: ${severity}, in ${nodes.join(', ')}`)
  }
  return { problems, notes }
}

/** Checks the licences and the known vulnerabilities of all packages of a release. */
const main = async (): Promise<void> => {
  const packages = await shippedPackages()
  const licenses = licenseProblems(packages)
  console.log(`licences: ${packages.length} packages, ${licenses.length} not allowed`)

  const { stdout, stderr } = spawnSync('npm', ['audit', '--json'], {
    cwd: root,
    encoding: 'utf8',
    timeout: 60_000,
  })
  let report: AuditReport = {}
  try {
    report = JSON.parse(stdout) as AuditReport
  } catch {
    // npm did not end in time, or wrote no report: the audit is skipped, with what npm wrote.
  }
  const audit = readAudit(report, packages)
  if (audit === undefined) console.log(`audit: skipped: ${stderr.split('\n')[0] || 'npm wrote no report'}`)
  else console.log(`audit: ${audit.problems.length} severe, ${audit.notes.length} others`)

  for (const note of audit?.notes ?? []) console.log(`  ${note}`)
  const problems = [...licenses, ...(audit?.problems ?? [])]
  for (const problem of problems) console.error(problem)
  if (problems.length > 0) process.exitCode = 1
}

if (import.meta.main) await main()
