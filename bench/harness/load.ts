import { fileURLToPath } from 'node:url'
import type { ConversationPlan, Job, JobReply, RunPlan, RunResult, SocketPlan } from '../load/jobs.ts'
import { startScript } from './children.ts'

const program = fileURLToPath(new URL('../load/main.ts', import.meta.url))

/** The generator, seen from the benchmark. One job at a time. */
export interface Load {
  open(port: number, sockets: readonly SocketPlan[], hello: boolean): Promise<void>
  create(conversations: readonly ConversationPlan[]): Promise<void>
  /** Rejects when an ack or a delivery was missing, double or out of order. */
  run(plan: RunPlan): Promise<RunResult>
  close(): Promise<void>
  stop(): Promise<void>
}

export const startLoad = (): Load => {
  const child = startScript(program)
  const perform = async (job: Job): Promise<unknown> => {
    const reply = await child.ask<JobReply>(job)
    if (!reply.ok) throw new Error(reply.error)
    return reply.result
  }
  return {
    open: async (port, sockets, hello) => void (await perform({ do: 'open', port, sockets, hello })),
    create: async conversations => void (await perform({ do: 'create', conversations })),
    run: async plan => (await perform({ do: 'run', ...plan })) as RunResult,
    close: async () => void (await perform({ do: 'close' })),
    stop: () => child.stop(),
  }
}
