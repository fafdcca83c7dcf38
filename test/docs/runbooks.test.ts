import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { parse, stringify } from 'yaml'
import { type ConfabProcess, spawnConfab, untilReady } from '../harness/confab-process.ts'
import { cannotMount, mountDisk } from '../harness/mounted-disk.ts'
import {
  clusterPages,
  emptySystem,
  type RunbookSystem,
  readRunbook,
  runbookCommands,
  runbookEnvironment,
  runbooks,
  runCommand,
  runRunbook,
} from '../harness/runbook.ts'
import { tempFolder } from '../harness/temp-folder.ts'

/**
 * Runs the console blocks of the runbooks in docs/operations against a real system, and compares the output with the
 * page. `RECORD_RUNBOOKS=1` writes the output into the pages.
 */
/** Pages whose commands run beside a system of one process. */
const besideOneSystem = ['rotate-keys.md', 'stuck-view.md']
/** Pages that start what they need. */
const fromEmptyFolder = ['install.md', 'rotate-certificates.md']

const limits = { timeout: 240_000 }

/** A system of one process, and the folder where the commands of a page run. */
const startSystem = async (t: Test): Promise<RunbookSystem & { fill(): Promise<void> }> => {
  const work = tempFolder(t)
  mkdirSync(join(work, 'secrets'))
  for (const name of ['jwt', 'jwt-previous'])
    writeFileSync(join(work, 'secrets', name), randomBytes(32).toString('base64'))
  const path = await runbookCommands(work)
  const configFile = join(work, 'confab.yaml')
  const config = {
    data: 'data',
    jwt: { secret: 'file:secrets/jwt', previousSecret: 'file:secrets/jwt-previous' } as Record<
      string,
      string
    >,
  }
  const write = (): void => writeFileSync(configFile, stringify(config))
  write()
  const env = { CONFAB_CONFIG: configFile }
  let confab: ConfabProcess | undefined
  const start = async (): Promise<void> => {
    await confab?.stop()
    confab = await untilReady(await spawnConfab({ data: join(work, 'data'), dev: false, env }))
  }
  t.teardown(() => confab?.stop())
  await start()

  const run = (command: string) =>
    runCommand(
      command.replaceAll('http://127.0.0.1:8080', confab!.url),
      work,
      runbookEnvironment({ ...env, PATH: path }),
    )
  /** Stores a conversation of alice. Throws. */
  const fill = async (): Promise<void> => {
    const token = readFileSync(join(work, 'old-token'), 'utf8').trim()
    const ask = async (request: object): Promise<void> => {
      const { status } = await fetch(`${confab!.url}/v1/commands`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}` },
        body: JSON.stringify({ id: '1', ...request }),
      })
      if (status !== 200) throw new Error(`${JSON.stringify(request)}: ${status}`)
    }
    await ask({ t: 'create', c: 'tea', kind: 'group', members: ['bob'] })
    for (let n = 0; n < 20; n++) await ask({ t: 'send', c: 'tea', m: `m${n}`, text: `message ${n}` })
  }
  return {
    run,
    fill,
    /** Does what a comment of the page says. */
    direct: async (text: string): Promise<void> => {
      if (text.includes('remove previousSecret')) {
        delete config.jwt.previousSecret
        write()
      }
      if (text.includes('restart')) await start()
    },
  }
}

t.test('every page with commands runs in a test', async t => {
  const tested = [...besideOneSystem, ...fromEmptyFolder, 'disk-full.md', ...clusterPages]
  const pages = readdirSync(runbooks).filter(name => readRunbook(name).includes('```console'))
  t.same(pages.sort(), tested.sort())
})

for (const name of besideOneSystem)
  t.test(`docs/operations/${name}: each command has the output of the page`, limits, async t => {
    const system = await startSystem(t)
    await system.run('confab token --user alice > old-token')
    await system.fill()
    await runRunbook(t, name, system)
  })

for (const name of fromEmptyFolder)
  t.test(`docs/operations/${name}: each command has the output of the page`, limits, async t =>
    runRunbook(t, name, await emptySystem(t)),
  )

t.test(
  'docs/operations/disk-full.md: each command has the output of the page',
  { ...limits, skip: cannotMount },
  async t => {
    const system = await emptySystem(t)
    const disk = mountDisk(t, join(system.work, 'disk'), '200m')
    const direct = async (comment: string): Promise<void> => {
      if (comment === 'start') {
        const setUp = [...readRunbook('install.md').matchAll(/^ *\$ (.*)$/gm)].map(([, command]) => command!)
        const [, yaml = ''] = /# confab.yaml\n(.*?)```/s.exec(readRunbook('install.md')) ?? []
        system.write?.('confab.yaml', yaml.replaceAll(/^ {3}/gm, '').replace('data: data', 'data: disk/data'))
        const last = setUp.findIndex(command => command.includes('"t":"create"'))
        for (const command of setUp.slice(0, last + 1)) await system.run(command)
      }
      if (comment === 'fill') {
        const { bavail, blocks, bsize } = statfsSync(disk.folder)
        writeFileSync(join(disk.folder, 'old-backup.tar'), Buffer.alloc((bavail - blocks * 0.04) * bsize))
        // Longer than the time between two measurements.
        await sleep(2_000)
      }
    }
    await runRunbook(t, 'disk-full.md', { ...system, direct })
  },
)

t.test('the configuration of a page is valid', async t => {
  const [, yaml = ''] = /```yaml\n(.*?)```/s.exec(readRunbook('rotate-keys.md')) ?? []
  t.same(parse(yaml), { jwt: { secret: 'file:secrets/jwt', previousSecret: 'file:secrets/jwt-previous' } })
})
