import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { Command } from 'commander'
import { tlsSidesOf } from '../../app/certificates.ts'
import { hasEmbeddedLog, type OpenNats, openNats } from '../../app/open-nats.ts'
import { tlsErrorCode } from '../../base/tls-error.ts'
import { readTlsFiles } from '../../base/tls-files.ts'
import { operatorText } from '../../events/index.ts'
import type { ConfabConfig } from '../../infra/config/index.ts'
import { findNatsServer, findRunningServer, rightsFinding, supportedNats } from '../../infra/nats/index.ts'
import { reads } from '../command/command-effect.ts'
import { addConfigFlags, configOf, type SystemFlags } from '../command/config-flags.ts'
import { portProblem, portReason } from '../command/port.ts'
import { probe } from '../command/probe.ts'
import { readServeRecords, type ServeRecord } from '../command/server-address.ts'
import { createFetchDisplay } from '../terminal/fetch-display.ts'
import { count, note } from '../terminal/output.ts'
import { checkBackups } from './check-backups.ts'
import { checkEvents } from './check-events.ts'
import { checkProjections, checkStreams } from './check-log.ts'
import { type Finding, hint, ill, printFindings, refuseIll, well } from './findings.ts'

interface DoctorFlags extends SystemFlags {
  readonly host?: string
  readonly port?: string
  readonly all?: boolean
  readonly json?: boolean
}

const checkNode = (): Finding =>
  Number(process.versions.node.split('.')[0]) >= 24
    ? well('Node', process.version)
    : ill('Node', process.version, 'use Node 24 or later, or run confab with npm, which installs Node 24')

const checkServerBinary = async (config: ConfabConfig): Promise<Finding> => {
  if (config.natsServers !== undefined) return hint('nats-server', 'not needed: existing servers are used')
  try {
    const { version, path } = await findNatsServer({ onProgress: createFetchDisplay(note) })
    return well('nats-server', `${version}, ${path}`)
  } catch (error) {
    return ill(
      'nats-server',
      operatorText(error),
      `install nats-server ${supportedNats.line} and put it on PATH`,
    )
  }
}

/** Checks that the nearest existing folder is writable. */
const checkFolder = ({ data }: ConfabConfig): Finding => {
  for (let folder = data; ; folder = dirname(folder))
    try {
      accessSync(folder, constants.W_OK)
      rmSync(mkdtempSync(`${folder}/.doctor-`), { recursive: true })
      return well('data folder', data)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT' && dirname(folder) !== folder) continue
      return ill('data folder', operatorText(error), 'make it writable, or use another folder with --data')
    }
}

const readyTimeoutMs = 3_000

const timedOut = (error: unknown): boolean =>
  (error as Error).name === 'TimeoutError' || (error as Error).name === 'AbortError'

/**
 * Asks `/readyz` of a recorded server, on its admin listener if there is one: only that names components. Returns
 * undefined when no server answers at its address.
 */
const checkServer = async ({ url, adminUrl, pid, roles }: ServeRecord): Promise<Finding | undefined> => {
  const name = `server ${url}`
  try {
    const { status, body } = await probe(`${adminUrl ?? url}/readyz`, readyTimeoutMs)
    const { parts = {} } = JSON.parse(body) as { parts?: Readonly<Record<string, boolean | string>> }
    if (status === 200) return well(name, `ready, roles ${roles.join(', ')}, pid ${pid}`)
    const unready = Object.keys(parts).filter(part => parts[part] === false)
    return ill(
      name,
      `not ready: ${unready.join(', ') || 'the admin listener, which is off, would say why'} (pid ${pid})`,
      "see the server's log",
    )
  } catch (error) {
    // A timeout: the process runs and does not answer.
    if (timedOut(error))
      return ill(name, `no answer within ${readyTimeoutMs} ms (pid ${pid})`, "see the server's log")
    if (tlsErrorCode(error) !== undefined)
      return hint(name, `runs, and its admin listener requires a client certificate (pid ${pid})`)
    // Connection refused: the process ended and left its record.
    return undefined
  }
}

/** Checks the servers that run on the data folder. */
const checkServers = async ({ data }: ConfabConfig): Promise<readonly Finding[]> =>
  (await Promise.all(readServeRecords(data).map(checkServer))).filter(finding => finding !== undefined)

const checkPort = async ({ host, port, data }: ConfabConfig): Promise<Finding> => {
  const problem = await portProblem(host, port)
  if (problem === undefined) return well('port', `${host}:${port} is free`)
  if (
    problem === 'EADDRINUSE' &&
    readServeRecords(data).some(({ url }) => Number(new URL(url).port) === port)
  )
    return hint('port', `${host}:${port} is in use by the server of this data folder`)
  const advice =
    problem === 'EADDRINUSE'
      ? 'choose another port with --port, or stop that process'
      : 'choose another address with --host and --port'
  return ill('port', `${host}:${port} cannot be used: ${portReason(problem)}`, advice)
}

const checkSystem = async (config: ConfabConfig, isAll: boolean): Promise<Finding[]> => {
  if (config.natsServers === undefined && !hasEmbeddedLog(config.data))
    return [hint('log', 'none in the data folder yet', '"confab serve" creates one')]
  // Before this process starts a nats-server on the folder.
  const isInUse = config.natsServers !== undefined || findRunningServer(config.data) !== undefined
  let system: OpenNats
  try {
    system = await openNats(config, 'confab-doctor', () => {})
  } catch (error) {
    return [ill('NATS', operatorText(error), 'start the servers, or see their log')]
  }
  try {
    const { connection } = system.nats
    const server = `${connection.getServer()}, version ${connection.info?.version}`
    return [
      well('NATS', server),
      await checkUser(system),
      ...(await checkStreams(config, system)),
      ...(await checkEvents(config, system, isAll)),
      ...(await checkProjections(config, system, isInUse)),
    ]
  } finally {
    await system.close()
  }
}

/** Certificates that expire within this many days are reported. */
const expirySoonDays = 30

/** Checks the files of certificates that the configuration names. */
const checkCertificates = (config: ConfabConfig): Finding[] =>
  tlsSidesOf(config).flatMap(({ prefix, files }) => {
    try {
      return readTlsFiles(prefix, files).certificates.map(({ option, expiresAt }) => {
        const days = Math.floor((expiresAt - Date.now()) / 86_400_000)
        const text = `valid for ${count(days)} more days`
        return days < expirySoonDays
          ? ill(option, text, 'renew it (see "confab certs"), and restart the processes that use it')
          : well(option, text)
      })
    } catch (error) {
      return [ill(`${prefix}.tls`, operatorText(error), 'correct the file or the option')]
    }
  })

/** Reports whether the user of the connection could remove the log. */
const checkUser = async ({ nats, isEmbedded }: OpenNats): Promise<Finding> => {
  const what = `NATS user${nats.user === undefined ? '' : ` ${nats.user}`}`
  const { rights, excess } = await rightsFinding(nats)
  if (rights === 'few') return well(what, 'has no right to change or remove a stream')
  if (rights === 'shared')
    return ill(
      what,
      'shares an account with the log: answers to its requests can remove streams',
      'give each user an account, as nats/users.conf does',
    )
  if (rights === 'too many')
    return ill(what, `may publish to ${excess}`, 'give it the rights that "confab streams rights" prints')
  return isEmbedded
    ? well(what, 'may do everything; only this machine reaches the embedded server')
    : hint(
        what,
        'may do everything',
        'right for operators; servers need users with the rights of their roles',
      )
}

const doctor = async (flags: DoctorFlags): Promise<void> => {
  const config = configOf(flags)
  const servers = await checkServers(config)
  // A running server has its port already. A port that was given is checked all the same.
  const isPortChecked = servers.length === 0 || flags.port !== undefined || flags.host !== undefined
  const findings = [
    checkNode(),
    await checkServerBinary(config),
    checkFolder(config),
    ...servers,
    ...(isPortChecked ? [await checkPort(config)] : []),
    ...checkCertificates(config),
    ...(await checkBackups(config)),
    ...(await checkSystem(config, flags.all ?? false)),
  ]
  await printFindings(findings, flags.json)
  refuseIll(findings)
}

export const doctorCommand = (): Command =>
  reads(
    addConfigFlags(
      new Command('doctor').description('Check the environment and the running system, and say what to fix'),
      ['data', 'natsServers', 'host', 'port'],
    )
      .option('--all', 'Check the events of all conversations and users instead of a sample')
      .option('--json', 'Output JSON')
      .action(doctor),
  )
