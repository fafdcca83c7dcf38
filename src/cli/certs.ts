import { createPrivateKey } from 'node:crypto'
import { chmodSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { join, resolve } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { makePrivateFolder, writePrivateFile } from '../base/private-files.ts'
import { readErrorText } from '../base/read-error-text.ts'
import { certificateBlocks, readTlsFiles } from '../base/tls-files.ts'
import {
  type Authority,
  type CertificateFacts,
  certificateFacts,
  type IssuedCertificate,
} from '../infra/certificates/index.ts'
import { CliError } from './command/cli-error.ts'
import { reads } from './command/command-effect.ts'
import { count, note, print, styled, table } from './terminal/output.ts'

const dayMs = 86_400_000
/** Clocks of other machines may be behind. */
const clockMs = 60 * 60_000

/**
 * The certificates that can be created: those of confab's listeners and of the NATS servers, and those of clients by
 * the role of process or person. nats/tls/users.conf has the names of clients, nats/tls/cluster.conf that of `nats`.
 */
const roleNames = [
  'server',
  'nats',
  'edge',
  'commands',
  'projections',
  'several-roles',
  'operator',
  'analyst',
] as const
type CertificateRole = (typeof roleNames)[number]

/** Returns what the certificate of a role is for. `hosts`: names and addresses of the servers. */
const requestOf = (role: CertificateRole, hosts: readonly string[]) => {
  if (role === 'server') return { name: hosts[0]!, use: 'server', hosts } as const
  // Servers of a cluster connect to each other, and know each other by this name.
  if (role === 'nats') return { name: role, use: 'both', hosts } as const
  return { name: role, use: 'client' } as const
}

interface CreateFlags {
  readonly role: readonly CertificateRole[]
  readonly name: readonly string[]
  readonly days: number
  readonly force?: boolean
  readonly json?: boolean
}

const authorityDays = 3_650

/** The names of the two files of a certificate. */
const filesOf = (folder: string, name: string) => ({
  certFile: join(folder, `${name}.pem`),
  keyFile: join(folder, `${name}-key.pem`),
})

/** Writes a certificate and its key, as whole files. Only the user can read the key. */
const write = (folder: string, name: string, { cert, key }: IssuedCertificate): void => {
  const { certFile, keyFile } = filesOf(folder, name)
  writePrivateFile(`${keyFile}.new`, key)
  writeFileSync(`${certFile}.new`, cert)
  chmodSync(`${certFile}.new`, 0o644)
  renameSync(`${keyFile}.new`, keyFile)
  renameSync(`${certFile}.new`, certFile)
}

/** Returns the authority in a folder; undefined when there is none. Throws TlsError, CliError. */
const readAuthority = (folder: string): Authority | undefined => {
  const { certFile, keyFile } = filesOf(folder, 'ca')
  if (!existsSync(certFile) && !existsSync(keyFile)) return undefined
  if (!existsSync(keyFile))
    throw new CliError(
      'BAD_OPTION',
      `${keyFile} does not exist, and ${certFile} needs it to sign certificates: copy ca-key.pem back, or name another folder`,
    )
  const { cert, key } = readTlsFiles('ca', { certFile, keyFile })
  if (cert === undefined || key === undefined) return undefined
  const isOurs = createPrivateKey(key).asymmetricKeyDetails?.namedCurve === 'prime256v1'
  if (!isOurs || !certificateFacts(cert).isAuthority)
    throw new CliError(
      'BAD_OPTION',
      `${certFile} is no authority that this command has made: name another folder`,
    )
  return { cert, key }
}

const create = async (given: string | undefined, flags: CreateFlags): Promise<void> => {
  const { role: roles, name: hosts, days, force, json } = flags
  if (given === undefined)
    throw new CliError('BAD_OPTION', 'name the folder of the certificates: confab certs <folder>')
  const folder = resolve(given)
  const existing = roles.flatMap(role => Object.values(filesOf(folder, role))).filter(existsSync)
  if (existing.length > 0 && !force)
    throw new CliError(
      'FILE_EXISTS',
      `${existing[0]} exists: name another folder, or replace the certificates with --force`,
    )
  const known = readAuthority(folder)
  // Loaded on demand: it takes a while.
  const { createAuthority, issueCertificate } = await import('../infra/certificates/index.ts')
  const from = Date.now() - clockMs
  const validFor = (validDays: number) => ({ from, to: Date.now() + validDays * dayMs })
  const authority = known ?? (await createAuthority({ name: 'confab CA', ...validFor(authorityDays) }))
  const end = certificateFacts(authority.cert).to
  if (Date.now() + days * dayMs > end)
    throw new CliError(
      'BAD_OPTION',
      `--days: the authority in ${folder} is valid for ${count(Math.floor((end - Date.now()) / dayMs))} days only`,
    )
  const issued: [CertificateRole, IssuedCertificate][] = []
  for (const role of roles)
    issued.push([role, await issueCertificate(authority, { ...requestOf(role, hosts), ...validFor(days) })])
  makePrivateFolder(folder)
  if (known === undefined) write(folder, 'ca', authority)
  for (const [role, one] of issued) write(folder, role, one)
  const ca = filesOf(folder, 'ca')
  if (json) {
    const certificates = issued.map(([role, { cert }]) => {
      const { certFile, keyFile } = filesOf(folder, role)
      const { name, hosts, to } = certificateFacts(cert)
      return {
        role,
        subject: name,
        names: hosts,
        cert: certFile,
        key: keyFile,
        expires: new Date(to).toISOString(),
      }
    })
    await print(`${JSON.stringify({ folder, ca: ca.certFile, certificates }, undefined, 2)}\n`)
  } else await print(tableOf(['ca', ...roles].map(role => filesOf(folder, role).certFile)))
  note(`Move ${ca.keyFile} to another machine: it signs certificates that your servers accept.`)
}

/** A certificate of a file. */
interface Row extends CertificateFacts {
  readonly file: string
}

const rowsOf = (file: string): Row[] => {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new CliError('BAD_OPTION', `${file}: ${readErrorText(error)}`)
  }
  const blocks = certificateBlocks(text)
  if (blocks.length === 0) throw new CliError('BAD_OPTION', `${file}: the file has no certificate in PEM`)
  return blocks.map(block => {
    try {
      return { file, ...certificateFacts(block) }
    } catch {
      throw new CliError('BAD_OPTION', `${file}: a certificate in the file is damaged`)
    }
  })
}

const daysLeft = ({ to }: Row): number => Math.floor((to - Date.now()) / dayMs)

const tableOf = (files: readonly string[]): string =>
  table(
    [
      { title: 'file' },
      { title: 'name' },
      { title: 'use' },
      { title: 'hosts' },
      { title: 'issuer' },
      { title: 'expires' },
      { title: 'days left', align: 'right' },
    ],
    files.flatMap(rowsOf).map(row => {
      const { file, name, isAuthority, uses, hosts, issuer, to } = row
      const left = daysLeft(row)
      return [
        file,
        name,
        isAuthority ? 'authority' : uses.join(', ') || 'any',
        hosts.join(', ') || '–',
        issuer,
        new Date(to).toISOString().slice(0, 10),
        left < 0 ? styled('red', 'expired') : count(left),
      ]
    }),
  )

interface ShowFlags {
  readonly within: number
  readonly json?: boolean
}

const show = async (files: readonly string[], { within, json }: ShowFlags): Promise<void> => {
  const rows = files.flatMap(rowsOf)
  if (json) {
    const shown = rows.map(({ from, to, ...facts }) => ({
      ...facts,
      from: new Date(from).toISOString(),
      to: new Date(to).toISOString(),
      daysLeft: Math.floor((to - Date.now()) / dayMs),
    }))
    await print(`${JSON.stringify(shown, undefined, 2)}\n`)
  } else await print(tableOf(files))
  const due = rows.filter(row => daysLeft(row) < within)
  if (due.length > 0)
    throw new CliError(
      'NOT_READY',
      `${due.map(({ file, name }) => `${name} in ${file}`).join(', ')}: expired, or within ${count(within)} days: renew`,
    )
}

const daysFrom =
  (least: number) =>
  (value: string): number => {
    const number = Number(value)
    if (!Number.isInteger(number) || number < least || number > authorityDays)
      throw new InvalidArgumentError(`Give a number of days from ${least} to ${authorityDays}.`)
    return number
  }

const hostPattern = /^(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]{0,252})$/

/** Collects the values of an option that is repeated or has commas. The first one replaces the default. */
const collect = (check: (value: string) => boolean, what: string) => {
  let isGiven = false
  return (value: string, previous: readonly string[]): readonly string[] => {
    const values = value.split(',').map(one => one.trim())
    for (const one of values) if (!check(one)) throw new InvalidArgumentError(`"${one}" is not ${what}.`)
    const before = isGiven ? previous : []
    isGiven = true
    return [...before, ...values]
  }
}

const isHost = (value: string): boolean => isIP(value) !== 0 || hostPattern.test(value)
const isRole = (value: string): boolean => roleNames.some(role => role === value)

export const certsCommand = (): Command => {
  const command = new Command('certs')
    .description('Create certificates for a small installation or a trial, or show when certificates expire')
    .argument('[folder]', 'Folder of the files; an authority in it signs further certificates')
    .option(
      '--role <roles...>',
      `Certificates to create: ${roleNames.join(', ')}`,
      collect(isRole, `one of ${roleNames.join(', ')}`),
      roleNames,
    )
    .option(
      '--name <names...>',
      'Host names and IP addresses of the servers',
      collect(isHost, 'a host name or an IP address'),
      ['localhost'],
    )
    .option(
      '--days <n>',
      'Days until the certificates expire; those of a new authority: 3650',
      daysFrom(1),
      365,
    )
    .option('--force', 'Replace existing certificates and keys, and keep the authority')
    .option('--json', 'Output JSON')
    .action(create)
  reads(command)
  const shown = command
    .command('show')
    .description('Show certificates and their expiry; fails when one has expired or soon will')
    .argument('<files...>', 'PEM files')
    .option('--within <days>', 'Fail when a certificate expires within this many days', daysFrom(0), 0)
    .option('--json', 'Output JSON')
    .action((files: readonly string[], _flags: object, subcommand: Command) =>
      show(files, subcommand.optsWithGlobals<ShowFlags>()),
    )
  reads(shown)
  return command
}
