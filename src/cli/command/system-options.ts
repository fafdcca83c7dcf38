import type { Command } from 'commander'
import { hasEmbeddedLog, type OpenNats, openNats } from '../../app/open-nats.ts'
import { isId } from '../../events/index.ts'
import { type ConfabConfig, compileConfig } from '../../infra/config/index.ts'
import { note } from '../terminal/output.ts'
import { CliError } from './cli-error.ts'

export interface SystemFlags {
  readonly data?: string
  readonly nats?: string
  readonly config?: string
}

/** The flags that say which confab a command is about. */
export const addSystemOptions = (command: Command): Command =>
  command
    .option('--data <folder>', "confab's data folder (default: .confab); a server that runs on it is used")
    .option('--nats <urls>', 'existing NATS servers, separated by commas, instead of the data folder')
    .option('--config <file>', 'configuration, YAML')

/** Throws CliError where the id of `--conversation` can't be one: it would be looked for, or waited for, in vain. */
export const requireId = (conversation: string): void => {
  if (!isId(conversation))
    throw new CliError('BAD_OPTION', `--conversation: ${conversation} is no conversation's id`)
}

/** Flags that are options of the configuration; a command has some of them. */
export interface ConfigFlags extends SystemFlags {
  readonly dev?: boolean
  readonly host?: string
  readonly port?: string
  readonly grpcPort?: string
  readonly roles?: string
  readonly replicas?: string
}

/** The configuration by a command's flags, the environment and the file. Throws ConfigError. */
export const configOf = (flags: ConfigFlags): ConfabConfig => {
  const { config, nats, data, dev, host, port, grpcPort, roles, replicas } = flags
  const given = { natsServers: nats, natsReplicas: replicas, data, dev, host, port, grpcPort, roles }
  return compileConfig({
    flags: Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
    env: process.env,
    file: config,
  })
}

/** NATS of a system that is there already; a data folder without a log is a mistake. Throws CliError. */
export const openExisting = async (config: ConfabConfig, name: string): Promise<OpenNats> => {
  if (config.natsServers === undefined && !hasEmbeddedLog(config.data))
    throw new CliError(
      'NO_SERVER',
      `${config.data} holds no confab data: name the data folder with --data or the servers with --nats, or begin with "confab serve --dev"`,
    )
  return openNats(config, name, note)
}
