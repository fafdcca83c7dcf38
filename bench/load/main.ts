/** The load generator: a process that its parent controls. It drives confab, the limits and the peers alike. */
import { type Dialect, dialects } from './dialects/index.ts'
import type { Job, JobReply, OpenPlan } from './jobs.ts'
import { Returning } from './return.ts'
import { runLoad } from './run.ts'
import { createConversations, createLarge, type Opened, openSockets } from './sessions.ts'
import { talk } from './talk.ts'
import { Watch } from './watch.ts'

let opened: Opened[] = []
let plan: OpenPlan = { port: 0, sockets: [], hello: false }
let watch: Watch | undefined
let returning: Returning | undefined

const perform = async (job: Job): Promise<unknown> => {
  const dialect: Dialect = dialects[plan.dialect ?? 'confab']
  const wires = opened.map(({ wire }) => wire)
  switch (job.do) {
    case 'open':
      plan = job
      opened = await openSockets(
        job.port,
        job.sockets,
        dialects[job.dialect ?? 'confab'],
        job.hello,
        job.width,
      )
      return opened.length
    case 'create':
      return createConversations(wires, job.conversations)
    case 'create-large':
      return createLarge(wires[0]!, { ...job, dialect })
    case 'run':
      return runLoad(wires, dialect, job)
    case 'talk':
      return talk(wires, dialect, job)
    case 'watch':
      watch = new Watch(wires, dialect)
      return undefined
    case 'report':
      return watch?.report(job.due)
    case 'follow':
      returning = new Returning(plan, dialect, opened)
      return undefined
    case 'drop':
      return returning?.drop(job.after)
    case 'return': {
      const back = await returning?.back(job)
      opened = back?.opened ?? []
      return back?.result
    }
    case 'pause':
      for (const wire of wires) wire.pause()
      return undefined
    case 'read':
      for (const wire of wires) wire.read()
      return undefined
    case 'close':
      for (const wire of wires) wire.close()
      opened = []
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
