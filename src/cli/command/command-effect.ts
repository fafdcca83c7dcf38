import type { Command } from 'commander'
import { openAuditTrail, operatorOf } from '../../app/open-audit.ts'
import { hasEmbeddedLog, openNats } from '../../app/open-nats.ts'
import {
  type ActionDetails,
  type ActionName,
  AuditError,
  AuditProblem,
  type AuditTrail,
  type Facts,
  factsOf,
} from '../../audit/index.ts'
import { operatorText } from '../../events/index.ts'
import { type ConfabConfig, options } from '../../infra/config/index.ts'
import type { Nats } from '../../infra/nats/index.ts'
import { note } from '../terminal/output.ts'

/**
 * The effect of a command on a system. `reads`: it changes nothing. `acts as a user`: the event log records it. Else
 * the action that the audit stream records. A test requires one of each command.
 */
export type Effect = 'reads' | 'acts as a user' | ActionName

const effects = new WeakMap<Command, Effect>()

/** Returns the effect of a command; undefined when it declares none. */
export const effectOf = (command: Command): Effect | undefined => effects.get(command)

/** Declares the effect of a command that records nothing itself. */
export const withEffect = (effect: Effect, command: Command): Command => {
  effects.set(command, effect)
  return command
}

/** Declares a command that changes nothing. */
export const reads = (command: Command): Command => withEffect('reads', command)

/** The system that a command works with. */
export interface RecordedSystem {
  readonly config: ConfabConfig
  readonly nats: Nats
}

type Work<T> = (report: (facts: Facts) => void) => Promise<T>

/** Records the action of one run of a command. Every run that changes something calls one of the methods. */
export interface CommandRecorder {
  /** Runs `work` as the action of the command, and records it. Rejects as `AuditTrail.perform` does. */
  perform<T>(system: RecordedSystem, details: Pick<ActionDetails, 'target'>, work: Work<T>): Promise<T>
  /** The same for a command that needs no connection to NATS: it is recorded where there is an audit stream. */
  performApart<T>(config: ConfabConfig, details: Pick<ActionDetails, 'target'>, work: Work<T>): Promise<T>
  /** Says that this run changed nothing. */
  nothingChanged(): void
}

/** Flags that say nothing about the action: they name the system, the output, or the consent. */
const unrecordedFlags: ReadonlySet<string> = new Set(['data', 'nats', 'config', 'json', 'yes', 'verbose'])
const secretFlags = new Set(
  Object.values(options).flatMap(({ flag, secret }) =>
    flag === undefined || secret === undefined ? [] : [flag],
  ),
)

/** Returns the arguments and flags that the operator gave. No value of a secret is among them. */
const givenParams = (command: Command): Facts => {
  const flags = command.options
    .filter(one => command.getOptionValueSource(one.attributeName()) === 'cli')
    .filter(one => !unrecordedFlags.has(one.attributeName()) && !secretFlags.has(one.flags))
    .map(one => [one.attributeName(), command.getOptionValue(one.attributeName())] as const)
  const given = command.registeredArguments.map(
    (argument, index) => [argument.name(), command.processedArgs[index]] as const,
  )
  return Object.fromEntries([...given, ...flags])
}

const warnUnrecorded = (error: unknown, action: ActionName): void =>
  note(`warning: ${action} is not recorded in the audit stream: ${operatorText(error)}`)

const trailOf = ({ config, nats }: RecordedSystem): AuditTrail =>
  openAuditTrail(nats, config, { actor: operatorOf(config), onUnrecorded: warnUnrecorded })

/**
 * Makes `run` the action of a command that changes something. `run` gets a recorder before its arguments, and must use
 * it: a run that ends without it is a defect, which the tests of the command report.
 */
export const records = <A extends readonly unknown[]>(
  action: ActionName,
  command: Command,
  run: (recorder: CommandRecorder, ...args: A) => Promise<void>,
): Command =>
  withEffect(
    action,
    command.action(async (...given: unknown[]) => {
      let isUsed = false
      const perform: CommandRecorder['perform'] = (system, details, work) => {
        isUsed = true
        return trailOf(system).perform(action, { ...details, params: givenParams(command) }, work)
      }
      const recorder: CommandRecorder = {
        perform,
        performApart: async (config, details, work) => {
          isUsed = true
          return await withAuditedSystem(
            config,
            system => perform(system, details, work),
            why => {
              if (factsOf(action).recording === 'required') throw why
              warnUnrecorded(why, action)
              return work(() => {})
            },
          )
        },
        nothingChanged: () => {
          isUsed = true
        },
      }
      await run(recorder, ...(given as unknown as A))
      if (!isUsed) throw new Error(`${action} ran without a record`)
    }),
  )

/** Calls `use` with a connection to the system of a configuration, or `unconnected` with the reason for its absence. */
const withAuditedSystem = async <T>(
  config: ConfabConfig,
  use: (system: RecordedSystem) => Promise<T>,
  unconnected: (why: unknown) => Promise<T>,
): Promise<T> => {
  if (config.natsServers === undefined && !hasEmbeddedLog(config.data))
    return await unconnected(
      new AuditError(
        AuditProblem.unavailable,
        `${config.data} holds no log, and no NATS servers are configured`,
      ),
    )
  let system: Awaited<ReturnType<typeof openNats>>
  try {
    system = await openNats(config, 'confab-audit', () => {})
  } catch (error) {
    return await unconnected(error)
  }
  try {
    return await use({ config, nats: system.nats })
  } finally {
    await system.close()
  }
}
