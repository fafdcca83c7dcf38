/**
 * Stops a service that no test process has used for a while: `watchdog.ts <service> [idle seconds]`. One per service.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { runScript, type ServiceName, servicesFolder, usersFolder, whileLocked } from '../harness/service.ts'

const name = process.argv[2] as ServiceName
const idleMs = Number(process.argv[3] ?? 90) * 1000

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Whether a process that noted its use is still alive; notes of dead processes are removed. */
const isUsed = (): boolean => {
  let used = false
  for (const pid of readdirSync(usersFolder(name))) {
    if (isAlive(Number(pid))) used = true
    else rmSync(join(usersFolder(name), pid), { force: true })
  }
  return used
}

const record = join(servicesFolder(), `${name}.watchdog`)
const isWatched = (): boolean => {
  try {
    const pid = Number(readFileSync(record, 'utf8'))
    return pid !== process.pid && isAlive(pid)
  } catch {
    return false
  }
}

mkdirSync(usersFolder(name), { recursive: true })
const isTheOne = await whileLocked(name, async () => {
  if (isWatched()) return false
  writeFileSync(record, String(process.pid))
  return true
})
for (let idleSince = Date.now(), over = !isTheOne; !over; ) {
  await sleep(2_000)
  if (isUsed()) idleSince = Date.now()
  else if (Date.now() - idleSince > idleMs)
    over = await whileLocked(name, async () => {
      if (isUsed()) return false
      await runScript(name, 'stop')
      rmSync(record, { force: true })
      return true
    })
}
