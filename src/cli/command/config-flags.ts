import { type Command, Option } from 'commander'
import { hasEmbeddedLog, type OpenNats, openNats } from '../../app/open-nats.ts'
import { isId, userIdOfClaim } from '../../events/index.ts'
import {
  type ConfabConfig,
  compileConfig,
  configFileOption,
  type OptionName,
  optionFacts,
  options,
} from '../../infra/config/index.ts'
import { note } from '../terminal/output.ts'
import { CliError } from './cli-error.ts'

export interface SystemFlags {
  readonly data?: string
  readonly nats?: string
  readonly config?: string
}

const addFlag = (
  command: Command,
  entry: typeof configFileOption | (typeof options)[OptionName],
): Command => {
  const { flag = '', doc, defaultValue } = optionFacts(entry)
  const text = doc.replaceAll('`', '').replace(/\.$/, '')
  return command.option(
    flag,
    (entry.default === undefined && entry.shownDefault === undefined) || flag === '--dev'
      ? text
      : `${text} (default: ${defaultValue})`,
  )
}

/** Adds flags of configuration options to a command, with their help. Default: every option that has a flag. */
export const addConfigFlags = (command: Command, names?: readonly OptionName[]): Command => {
  const all = Object.keys(options) as OptionName[]
  for (const name of names ?? all) if (options[name].flag !== undefined) addFlag(command, options[name])
  return addFlag(command, configFileOption)
}

/** Adds the flags that say which system a command works with. */
export const addSystemOptions = (command: Command): Command =>
  addConfigFlags(command, ['data', 'natsServers'])

/** Option names by the name that commander gives the value of their flag: `--nats` is `natsServers`. */
const optionNames = new Map(
  Object.entries(options).flatMap(([name, { flag }]) =>
    flag === undefined ? [] : [[new Option(flag).attributeName(), name as OptionName]],
  ),
)

/** Throws CliError when the value of a flag or an argument is not a valid id. */
export const requireIdOf = (flag: string, kind: string, id: string): void => {
  if (!isId(id))
    throw new CliError(
      'BAD_OPTION',
      `${flag}: "${id}" is not a valid ${kind} id (1 to 64 of A-Z a-z 0-9 _ -)`,
    )
}

/** Throws CliError when the value of `--conversation` is not a valid id. */
export const requireId = (conversation: string): void =>
  requireIdOf('--conversation', 'conversation', conversation)

/** Throws CliError when the value of `--session` is not a valid id. */
export const requireSessionId = (session: string): void => requireIdOf('--session', 'session', session)

/**
 * Returns the user id of a value of `--user`: a user id, or a user's name in tokens, such as a mail address. Throws
 * CliError when no token can have such a name.
 */
export const userIdOf = (user: string): string => {
  const id = isId(user) ? user : userIdOfClaim(user)
  if (id === undefined)
    throw new CliError(
      'BAD_OPTION',
      `--user: "${user}" names no user: give a user id (1 to 64 of A-Z a-z 0-9 _ -), or the user's name in tokens`,
    )
  return id
}

/** Returns the configuration from a command's flags, the environment and the file. Throws ConfigError. */
export const configOf = (flags: object & { readonly config?: string }): ConfabConfig => {
  const given: Partial<Record<OptionName, unknown>> = {}
  for (const [attribute, value] of Object.entries(flags)) {
    const name = optionNames.get(attribute)
    if (name !== undefined && value !== undefined) given[name] = value
  }
  return compileConfig({ flags: given, env: process.env, file: flags.config })
}

/** Opens the NATS connection of an existing system. Throws CliError for a data folder without a log. */
export const openExisting = async (config: ConfabConfig, name: string): Promise<OpenNats> => {
  if (config.natsServers === undefined && !hasEmbeddedLog(config.data))
    throw new CliError(
      'NO_SERVER',
      `${config.data} holds no confab data: name the data folder with --data or the servers with --nats, or start a new system with "confab serve --dev"`,
    )
  return openNats(config, name, note)
}
