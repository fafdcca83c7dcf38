/**
 * The load generator: a process of its own, told by its parent what to do. It speaks to confab and to the limits alike.
 */
import type { Job, JobReply } from './jobs.ts'
import { runLoad } from './run.ts'
import { createConversations, openSockets } from './sessions.ts'
import type { WireSocket } from './wire-socket.ts'

let sockets: WireSocket[] = []

const perform = async (job: Job): Promise<unknown> => {
  switch (job.do) {
    case 'open':
      sockets = await openSockets(job.port, job.sockets, job.hello)
      return sockets.length
    case 'create':
      return createConversations(sockets, job.conversations)
    case 'run':
      return runLoad(sockets, job)
    case 'close':
      for (const socket of sockets) socket.close()
      sockets = []
      return undefined
  }
}

const reply = (message: JobReply): void => {
  process.send?.(message)
}

process.on('message', (job: Job) => {
  perform(job).then(
    result => reply({ ok: true, result }),
    (error: unknown) => reply({ ok: false, error: error instanceof Error ? error.message : String(error) }),
  )
})
for (const end of ['disconnect', 'SIGTERM']) process.on(end, () => process.exit())
