import { execFileSync } from 'node:child_process'
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname } from 'node:path'
import { Command } from 'commander'
import { hasEmbeddedLog, type OpenNats, openNats } from '../../app/open-nats.ts'
import type { ConfabConfig } from '../../infra/config/index.ts'
import { findNatsServer, findRunningServer } from '../../infra/nats/index.ts'
import { CliError } from '../command/cli-error.ts'
import { addConfigFlags, configOf, type SystemFlags } from '../command/config-flags.ts'
import { print, styled, table } from '../terminal/output.ts'
import { checkProjections, checkStreams } from './check-log.ts'
import { type Finding, hint, ill, messageOf, well } from './findings.ts'

const checkNode = (): Finding =>
  Number(process.versions.node.split('.')[0]) >= 24
    ? well('Node', process.version)
    : ill('Node', process.version, 'use Node 24 or later, or run confab by npm, which brings one')

const checkServerBinary = async (config: ConfabConfig): Promise<Finding> => {
  if (config.natsServers !== undefined) return hint('nats-server', 'not needed: existing servers are used')
  try {
    const binary = await findNatsServer(() => {})
    return well(
      'nats-server',
      `${execFileSync(binary, ['--version'], { encoding: 'utf8' })
        .trim()
        .replace(/^nats-server: v?/, '')}, ${binary}`,
    )
  } catch (error) {
    return ill('nats-server', messageOf(error), 'install nats-server 2.15 and put it on the PATH')
  }
}

/** The nearest folder that exists has to take new files. */
const checkFolder = ({ data }: ConfabConfig): Finding => {
  for (let folder = data; ; folder = dirname(folder))
    try {
      accessSync(folder, constants.W_OK)
      rmSync(mkdtempSync(`${folder}/.doctor-`), { recursive: true })
      return well('data folder', data)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT' && dirname(folder) !== folder) continue
      return ill('data folder', messageOf(error), 'make it writable, or name another with --data')
    }
}

const checkPort = ({ host, port, data }: ConfabConfig): Promise<Finding> =>
  new Promise(resolve => {
    const server = createServer()
    server.once('error', error => {
      const isTaken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE'
      if (isTaken && findRunningServer(data) !== undefined)
        resolve(
          hint(
            'port',
            `${host}:${port} is in use`,
            'fine when it is the server that runs on this data folder',
          ),
        )
      else resolve(ill('port', messageOf(error), 'choose another with --port, or end what listens there'))
    })
    server.listen(port, host, () => server.close(() => resolve(well('port', `${host}:${port} is free`))))
  })

const checkSystem = async (config: ConfabConfig): Promise<Finding[]> => {
  if (config.natsServers === undefined && !hasEmbeddedLog(config.data))
    return [hint('log', 'none in the data folder yet', '"confab serve --dev" begins one')]
  // Before one is started here.
  const isInUse = config.natsServers !== undefined || findRunningServer(config.data) !== undefined
  let system: OpenNats
  try {
    system = await openNats(config, 'confab-doctor', () => {})
  } catch (error) {
    return [ill('NATS', messageOf(error), 'start the servers, or see their log')]
  }
  try {
    const { connection } = system.nats
    const where = `${connection.getServer()}, version ${connection.info?.version}`
    return [
      well('NATS', where),
      ...(await checkStreams(config, system)),
      ...(await checkProjections(config, system, isInUse)),
    ]
  } finally {
    await system.close()
  }
}

const marks = { well: ['green', '✓'], ill: ['red', '✗'], note: ['yellow', '·'] } as const

const doctor = async (flags: SystemFlags & { json?: boolean }): Promise<void> => {
  const config = configOf(flags)
  const findings = [
    checkNode(),
    await checkServerBinary(config),
    checkFolder(config),
    await checkPort(config),
    ...(await checkSystem(config)),
  ]
  if (flags.json) await print(`${JSON.stringify(findings, undefined, 2)}\n`)
  else
    await print(
      table(
        [{ title: '' }, { title: 'what' }, { title: 'found' }, { title: 'to do' }],
        findings.map(({ what, state, detail, advice }) => {
          const [style, mark] = marks[state]
          return [styled(style, mark), what, detail, advice ?? '']
        }),
      ),
    )
  const bad = findings.filter(({ state }) => state === 'ill')
  if (bad.length > 0) throw new CliError('NOT_READY', `${bad.map(({ what }) => what).join(', ')}: see above`)
}

export const doctorCommand = (): Command =>
  addConfigFlags(
    new Command('doctor').description('Check the environment and the running system, and say what to fix'),
    ['data', 'natsServers', 'host', 'port'],
  )
    .option('--json', 'Output JSON')
    .action(doctor)
