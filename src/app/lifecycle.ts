import type { AuditTrail } from '../audit/index.ts'
import { settlesWithin } from '../base/timeout.ts'
import type { ConfabConfig } from '../infra/config/index.ts'
import type { Region } from '../infra/nats/regions/index.ts'
import { createRegistry, type Logger, type Tracing } from '../infra/telemetry/index.ts'
import { AdminRoutes } from './admin-routes.ts'
import type { OpenNats } from './open-nats.ts'

/** Readiness by component. `false`: required and not ready. A string: the state of an optional component. */
export type Readiness = Readonly<Record<string, boolean | string>>

/** The components of a process: how each is stopped, and when each is ready. */
export interface Lifecycle {
  /**
   * Registers a component. `stop` ends it; `uses` names the components that must keep running until then. A component
   * that is registered while the process stops is stopped at once.
   */
  onStop(component: string, stop: () => unknown, uses?: readonly string[]): void
  /** Adds a required component to `/readyz`. */
  readyWhen(component: string, isReady: () => boolean | Promise<boolean>): void
  /** Adds the states of optional components to `/readyz`. */
  reportStates(states: () => Readonly<Record<string, string>>): void
  readiness(): Promise<Readiness>
  /**
   * Stops all components within the stop timeout. Never rejects. A component waits for the components that use it;
   * all others stop in parallel. A failure or a timeout of one component is logged and does not delay the others.
   */
  stop(): Promise<void>
}

/** The services that the components of one process share. */
export interface ProcessContext extends Pick<Lifecycle, 'onStop' | 'readyWhen' | 'reportStates'> {
  readonly config: ConfabConfig
  /** The region of this process. Undefined in a system of one region. */
  readonly region: Region | undefined
  readonly logger: Logger
  readonly system: OpenNats
  /** Records what admins and this process do. */
  readonly audit: AuditTrail
  readonly registry: ReturnType<typeof createRegistry>
  /** Undefined: no spans are recorded. */
  readonly tracing: Tracing | undefined
  /** Requests of the admin listener. */
  readonly admin: AdminRoutes
  /** Logs a fact that operators may need and no code acts on. */
  readonly onNotice: (notice: string) => void
  /** Reports an error after which the process cannot continue. */
  readonly onFailure: (error: Error) => void
}

/** Time that a component keeps for each level of components below it, ms: a hanging component never uses it. */
const levelReserveMs = 2_000
/** Time to stop after the drain, ms, where no stop timeout is configured. */
const afterDrainMs = 20_000
const defaultStopTimeoutMs = 30_000

/** The bound of a whole stop, ms: as configured, else 30 s, or more where the drain is long. */
export const stopTimeoutOf = ({
  stopTimeoutMs,
  drainMs,
}: Pick<ConfabConfig, 'stopTimeoutMs' | 'drainMs'>): number =>
  stopTimeoutMs ?? Math.max(defaultStopTimeoutMs, drainMs + afterDrainMs)

interface Component {
  readonly name: string
  readonly stop: () => unknown
  readonly uses: readonly string[]
}

/** `stopTimeoutMs`: the bound of a whole stop. */
export const createLifecycle = (logger: Logger, stopTimeoutMs: number): Lifecycle => {
  const components: Component[] = []
  const required = new Map<string, () => boolean | Promise<boolean>>()
  const optional: (() => Readonly<Record<string, string>>)[] = []
  let stopping: Promise<void> | undefined

  const stopOne = async ({ name, stop }: Component, ms: number): Promise<void> => {
    try {
      if (!(await settlesWithin(ms, Promise.resolve(stop()))))
        logger.error(
          { component: name, afterMs: Math.round(ms) },
          'component did not stop in time, abandoned',
        )
    } catch (error) {
      logger.warn({ err: error, component: name }, 'component failed to stop')
    }
  }

  const stopAll = async (): Promise<void> => {
    const all = components.splice(0)
    const deadline = performance.now() + stopTimeoutMs
    const usersOf = (component: Component): Component[] =>
      all.filter(({ uses }) => uses.includes(component.name))
    /** Levels of components below this one. */
    const below = ({ uses }: Component): number =>
      Math.max(0, ...all.filter(({ name }) => uses.includes(name)).map(used => 1 + below(used)))
    const levels = Math.max(0, ...all.map(below))
    const reserveMs = Math.min(levelReserveMs, stopTimeoutMs / (2 * (levels + 1)))
    const stops = new Map<Component, Promise<void>>()
    const stopAfterUsers = (component: Component): Promise<void> => {
      const begun = stops.get(component)
      if (begun !== undefined) return begun
      const stopped = Promise.all(usersOf(component).map(stopAfterUsers)).then(() =>
        stopOne(component, Math.max(0, deadline - performance.now() - below(component) * reserveMs)),
      )
      stops.set(component, stopped)
      return stopped
    }
    await Promise.all(all.map(stopAfterUsers))
  }

  return {
    onStop: (name, stop, uses = []) => {
      const component = { name, stop, uses }
      if (stopping === undefined) components.push(component)
      else void stopOne(component, stopTimeoutMs)
    },
    readyWhen: (component, isReady) => void required.set(component, isReady),
    reportStates: states => void optional.push(states),
    stop: () => {
      stopping ??= stopAll()
      return stopping
    },
    readiness: async () => ({
      ...Object.fromEntries(
        await Promise.all([...required].map(async ([name, isReady]) => [name, await isReady()] as const)),
      ),
      ...Object.assign({}, ...optional.map(states => states())),
    }),
  }
}

export const createContext = (
  shared: Pick<
    ProcessContext,
    'config' | 'region' | 'logger' | 'system' | 'tracing' | 'audit' | 'onNotice' | 'onFailure'
  >,
  { onStop, readyWhen, reportStates }: Lifecycle,
): ProcessContext => ({
  ...shared,
  registry: createRegistry(),
  admin: new AdminRoutes(),
  onStop,
  readyWhen,
  reportStates,
})
