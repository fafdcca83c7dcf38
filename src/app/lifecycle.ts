import { settlesWithin } from '../base/timeout.ts'
import type { ConfabConfig } from '../infra/config/index.ts'
import { createRegistry, type Logger } from '../infra/telemetry/index.ts'
import type { OpenNats } from './open-nats.ts'

/** How the parts of a process stand, by name: `false` for one without which it is not ready; a word for one that may fail without that. */
export type Readiness = Readonly<Record<string, boolean | string>>

/** What the parts of one process share, and where each says how it is undone and when it is ready. */
export interface ProcessContext {
  readonly config: ConfabConfig
  readonly logger: Logger
  readonly system: OpenNats
  readonly registry: ReturnType<typeof createRegistry>
  /** For what people should know and no code acts on. */
  readonly onNotice: (notice: string) => void
  /** The process cannot go on. */
  readonly onFailure: (error: Error) => void
  /** Adds what is to undo at the end, and whose it is; the last added is undone first. */
  onStop(part: string, step: () => unknown): void
  /** Adds a part to what `/readyz` tells. */
  readyWhen(part: string, isReady: () => boolean | Promise<boolean>): void
  /** Adds parts that `/readyz` tells of, without which the process is ready all the same. */
  tells(parts: () => Readonly<Record<string, string>>): void
}

/** The end of a process, and its readiness. */
export interface Lifecycle extends Pick<ProcessContext, 'onStop' | 'readyWhen' | 'tells'> {
  /** Undoes everything; what fails or takes too long is logged and does not keep the rest. */
  stop(): Promise<void>
  /** Each part by its name. */
  readiness(): Promise<Readiness>
}

/** `stepMs`: how long one part may take to end. */
export const createLifecycle = (logger: Logger, stepMs: number): Lifecycle => {
  const steps: { readonly part: string; readonly step: () => unknown }[] = []
  const parts = new Map<string, () => boolean | Promise<boolean>>()
  const told: (() => Readonly<Record<string, string>>)[] = []
  return {
    onStop: (part, step) => void steps.push({ part, step }),
    readyWhen: (part, isReady) => void parts.set(part, isReady),
    tells: parts => void told.push(parts),
    stop: async () => {
      for (let last = steps.pop(); last !== undefined; last = steps.pop()) {
        const { part, step } = last
        try {
          if (!(await settlesWithin(stepMs, Promise.resolve(step()))))
            logger.error({ part, afterMs: stepMs }, 'a part does not end: it is left behind')
        } catch (error) {
          logger.warn({ err: error, part }, 'stopping')
        }
      }
    },
    readiness: async () => ({
      ...Object.fromEntries(
        await Promise.all([...parts].map(async ([part, isReady]) => [part, await isReady()] as const)),
      ),
      ...Object.assign({}, ...told.map(parts => parts())),
    }),
  }
}

export const createContext = (
  given: Pick<ProcessContext, 'config' | 'logger' | 'system' | 'onNotice' | 'onFailure'>,
  { onStop, readyWhen, tells }: Lifecycle,
): ProcessContext => ({ ...given, registry: createRegistry(), onStop, readyWhen, tells })
