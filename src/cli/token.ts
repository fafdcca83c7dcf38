import { Command, InvalidArgumentError } from 'commander'
import { isId } from '../events/index.ts'
import { devSecret } from '../infra/config/index.ts'
import { signDevToken } from '../infra/tokens/index.ts'
import { CliError } from './command/cli-error.ts'
import { configOf, type SystemFlags } from './command/system-options.ts'
import { print } from './terminal/output.ts'

interface TokenFlags extends Pick<SystemFlags, 'data' | 'config'> {
  readonly user: string
  readonly expires?: number
}

const token = async (flags: TokenFlags): Promise<void> => {
  if (!isId(flags.user)) throw new CliError('BAD_OPTION', `--user: ${flags.user} is no user id`)
  const config = configOf(flags)
  const signed = await signDevToken(
    config.tokens.secret ?? devSecret(config.data),
    flags.user,
    flags.expires === undefined ? {} : { expiresInSeconds: flags.expires },
  )
  await print(`${signed}\n`)
}

const seconds = (value: string): number => {
  const parsed = Number(value)
  if (!Number.isInteger(parsed) || parsed < 1) throw new InvalidArgumentError('a number of seconds is wanted')
  return parsed
}

export const tokenCommand = (): Command =>
  new Command('token')
    .description('sign a token with CONFAB_JWT_SECRET, or with the development secret of the data folder')
    .requiredOption('--user <id>', 'whom it speaks for')
    .option('--expires <seconds>', 'how long it is good (default: 30 days)', seconds)
    .option('--data <folder>', "confab's data folder (default: .confab)")
    .option('--config <file>', 'configuration, YAML')
    .action(token)
