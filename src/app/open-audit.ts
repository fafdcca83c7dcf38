import { createHash } from 'node:crypto'
import { hostname, userInfo } from 'node:os'
import { type Actor, AuditTrail, type AuditTrailOptions, auditKeyOf, type Facts } from '../audit/index.ts'
import { confabVersion } from '../base/version.ts'
import { canonicalJson } from '../events/index.ts'
import { type ConfabConfig, shownConfig } from '../infra/config/index.ts'
import { type Applied, AuditStream, type Nats } from '../infra/nats/index.ts'

/** This process in audit records. */
const thisProcess = `${hostname()}/${process.pid}`

/** Returns the audit stream of a system, with the key of the configuration. */
export const auditStreamOf = (nats: Nats, { audit: { key } }: Pick<ConfabConfig, 'audit'>): AuditStream =>
  new AuditStream(nats, key === undefined ? {} : { key: auditKeyOf(key) })

/** Opens the recorder of this process. `actor`: default the process itself. */
export const openAuditTrail = (
  nats: Nats,
  config: Pick<ConfabConfig, 'audit'>,
  options: Pick<AuditTrailOptions, 'onUnrecorded' | 'minuteMs'> & { readonly actor?: Actor },
): AuditTrail =>
  new AuditTrail({
    actor: { actor: `process:${thisProcess}` },
    ...options,
    log: auditStreamOf(nats, config),
    process: thisProcess,
  })

const osUser = (): string => {
  try {
    return userInfo().username
  } catch {
    // Containers may run under a user id without a name.
    return `uid-${process.getuid?.() ?? 'unknown'}`
  }
}

/** The operator who runs a command: as configured, else the user of the operating system. */
export const operatorOf = ({ audit: { operator } }: Pick<ConfabConfig, 'audit'>): Actor => {
  const user = osUser()
  return operator === undefined ? { actor: `os:${user}` } : { actor: `operator:${operator}`, osUser: user }
}

/** The facts about a process that its start records. Processes with the same options have the same hash. */
export const startFacts = (config: ConfabConfig) => ({
  version: confabVersion(),
  roles: config.roles,
  dev: config.dev,
  options: createHash('sha256')
    .update(canonicalJson(shownConfig(config)))
    .digest('hex'),
})

/**
 * The streams that were created or changed, with what was changed; undefined when none was. In a system of several
 * regions each has its region.
 */
export const changesOf = (
  applied: readonly (Applied & { readonly region?: string })[],
): Facts | undefined => {
  const changes = applied.flatMap(({ stream, region, outcome, changed }) =>
    outcome === 'unchanged'
      ? []
      : [
          [
            region === undefined ? stream : `${stream} in ${region}`,
            [outcome, ...changed].join(' '),
          ] as const,
        ],
  )
  return changes.length === 0 ? undefined : Object.fromEntries(changes)
}
