import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { delimiter, join } from 'node:path'
import t, { type Test } from 'tap'
import { parse, stringify } from 'yaml'
import { type ConfabProcess, spawnConfab, untilReady } from '../harness/confab-process.ts'
import { tempFolder } from '../harness/temp-folder.ts'

/**
 * Runs the console blocks of the runbooks in docs/operations against a real system, and compares the output with the
 * page. `RECORD_RUNBOOKS=1` writes the output into the pages.
 */
const root = join(import.meta.dirname, '../..')
const folder = join(root, 'docs/operations')
const isRecording = process.env.RECORD_RUNBOOKS === '1'
const consoleBlock = /^( *)```console\n(.*?)^ *```\n/gms

const pages = readdirSync(folder).filter(name =>
  readFileSync(join(folder, name), 'utf8').includes('```console'),
)

/** A system of one process, and the folder where the commands of a page run. */
const startSystem = async (t: Test) => {
  const work = tempFolder(t)
  mkdirSync(join(work, 'secrets'))
  for (const name of ['jwt', 'jwt-previous'])
    writeFileSync(join(work, 'secrets', name), randomBytes(32).toString('base64'))
  // The command "confab" of the pages.
  mkdirSync(join(work, 'bin'))
  writeFileSync(
    join(work, 'bin/confab'),
    `#!/bin/sh\nexec "${process.execPath}" "${join(root, 'src/cli/main.ts')}" "$@"\n`,
    { mode: 0o755 },
  )
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

  const run = (command: string): Promise<{ code: number | null; output: string }> =>
    new Promise((resolve, reject) => {
      const child = spawn('sh', ['-c', command.replaceAll('http://127.0.0.1:8080', confab!.url)], {
        cwd: work,
        env: { ...process.env, ...env, PATH: `${join(work, 'bin')}${delimiter}${process.env.PATH}` },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      let output = ''
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', chunk => {
          output += chunk
        })
      child.once('error', reject)
      child.once('close', code => resolve({ code, output }))
    })
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

/** The output as it is on every machine: numbers, names of workers and widths of columns differ. */
const comparable = (output: string): string =>
  output
    .replaceAll(/(?<=sqlite +)\S+$/gm, 'WORKER')
    .replaceAll(/\d[\d,.]*( ms| s| m)?\b/g, 'N')
    .replaceAll(/(N|–)(?= +sqlite)/g, 'RATE')
    .replaceAll(/ +/g, ' ')
    .replaceAll(/ +$/gm, '')
    .trim()

/** Output for a page: without the name of this machine, and with lines that fit. */
const shown = (output: string, indent: string): string =>
  output
    .replaceAll(hostname(), 'chat-1')
    .trimEnd()
    .split('\n')
    .map(line => `${indent}${line}`.trimEnd())
    .join('\n')

for (const name of pages)
  t.test(
    `docs/operations/${name}: each command has the output of the page`,
    { timeout: 240_000 },
    async t => {
      const path = join(folder, name)
      const page = readFileSync(path, 'utf8')
      const system = await startSystem(t)
      await system.run('confab token --user alice > old-token')
      await system.fill()
      let recorded = ''
      let end = 0
      let commands = 0
      for (const match of page.matchAll(consoleBlock)) {
        const [block, indent = '', text = ''] = match
        const between = page.slice(end, match.index)
        for (const [, comment = ''] of between.matchAll(/<!-- (.*?) -->/g)) await system.direct(comment)
        end = match.index + block.length
        const lines = text.split('\n').map(line => line.slice(indent.length))
        const steps = lines.join('\n').split(/^\$ /m).slice(1)
        recorded += `${between}${indent}\`\`\`console\n`
        for (const step of steps) {
          const [command = '', ...expected] = step.split('\n')
          const { code, output } = await system.run(command)
          commands++
          t.equal(code, 0, `${command}\n${output}`)
          if (!isRecording) t.equal(comparable(output), comparable(expected.join('\n')), command)
          recorded += `${indent}$ ${command}\n${output.trim() === '' ? '' : `${shown(output, indent)}\n`}`
        }
        recorded += `${indent}\`\`\`\n`
      }
      t.ok(commands > 3, `${commands} commands`)
      if (isRecording) writeFileSync(path, recorded + page.slice(end))
    },
  )

t.test('the configuration of a page is valid', async t => {
  const [, yaml = ''] = /```yaml\n(.*?)```/s.exec(readFileSync(join(folder, 'rotate-keys.md'), 'utf8')) ?? []
  t.same(parse(yaml), { jwt: { secret: 'file:secrets/jwt', previousSecret: 'file:secrets/jwt-previous' } })
})
