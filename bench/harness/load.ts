import { fileURLToPath } from 'node:url'
import type {
  ConversationPlan,
  Due,
  Job,
  JobReply,
  LargePlan,
  OpenPlan,
  Report,
  ReturnPlan,
  ReturnResult,
  RunPlan,
  RunResult,
  SocketPlan,
  TalkPlan,
  TalkResult,
} from '../load/jobs.ts'
import { startScript } from './children.ts'

const program = fileURLToPath(new URL('../load/main.ts', import.meta.url))

/** The load generator as the benchmark sees it; load/jobs.ts describes the jobs. One job at a time. */
export interface Load {
  open(
    port: number,
    sockets: readonly SocketPlan[],
    hello: boolean,
    more?: Pick<OpenPlan, 'dialect' | 'width'>,
  ): Promise<void>
  create(conversations: readonly ConversationPlan[]): Promise<void>
  createLarge(plan: LargePlan): Promise<void>
  /** Rejects when an ack or a delivery was missing, duplicated or out of order. */
  run(plan: RunPlan): Promise<RunResult>
  talk(plan: TalkPlan): Promise<TalkResult>
  watch(): Promise<void>
  /** Rejects when a delivery was missing, duplicated or out of order. */
  report(due: readonly Due[]): Promise<Report>
  follow(): Promise<void>
  /** `after`: default a delivery. */
  drop(after?: 'delivery' | 'nothing'): Promise<void>
  /** Rejects when a missed message was missing, duplicated or out of order. */
  comeBack(plan: ReturnPlan): Promise<ReturnResult>
  pause(): Promise<void>
  read(): Promise<void>
  close(): Promise<void>
  stop(): Promise<void>
}

export const startLoad = (): Load => {
  const child = startScript(program)
  const perform = async <T = void>(job: Job): Promise<T> => {
    const reply = await child.ask<JobReply>(job)
    if (!reply.ok) throw new Error(reply.error)
    return reply.result as T
  }
  return {
    open: (port, sockets, hello, more) => perform({ do: 'open', port, sockets, hello, ...more }),
    create: conversations => perform({ do: 'create', conversations }),
    createLarge: plan => perform({ do: 'create-large', ...plan }),
    run: plan => perform<RunResult>({ do: 'run', ...plan }),
    talk: plan => perform<TalkResult>({ do: 'talk', ...plan }),
    watch: () => perform({ do: 'watch' }),
    report: due => perform<Report>({ do: 'report', due }),
    follow: () => perform({ do: 'follow' }),
    drop: (after = 'delivery') => perform({ do: 'drop', after }),
    comeBack: plan => perform<ReturnResult>({ do: 'return', ...plan }),
    pause: () => perform({ do: 'pause' }),
    read: () => perform({ do: 'read' }),
    close: () => perform({ do: 'close' }),
    stop: () => child.stop(),
  }
}
