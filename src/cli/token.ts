import { Command, InvalidArgumentError, Option } from 'commander'
import { devSecret } from '../infra/config/index.ts'
import { adminRole, signDevToken } from '../infra/tokens/index.ts'
import { CliError } from './command/cli-error.ts'
import { type CommandRecorder, records } from './command/command-effect.ts'
import { addConfigFlags, configOf, type SystemFlags, userIdOf } from './command/config-flags.ts'
import { print } from './terminal/output.ts'

interface TokenFlags extends Pick<SystemFlags, 'data' | 'config'> {
  readonly user: string
  readonly expires?: number
  readonly role?: string
}

const token = async (recorder: CommandRecorder, flags: TokenFlags): Promise<void> => {
  const user = userIdOf(flags.user)
  const config = configOf(flags)
  const { secret = devSecret(config.data), maxLifetimeMs } = config.tokens
  const longest = Math.floor(maxLifetimeMs / 1000)
  if (flags.expires !== undefined && flags.expires > longest)
    throw new CliError(
      'BAD_OPTION',
      `--expires: ${flags.expires} is more than ${longest} s, the longest lifetime that the server accepts (jwt.maxLifetime)`,
    )
  const signed = await recorder.performApart(config, { target: `user:${user}` }, () =>
    signDevToken(secret, user, {
      ...config.tokens,
      role: flags.role,
      ...(flags.expires === undefined ? {} : { expiresInSeconds: flags.expires }),
    }),
  )
  await print(`${signed}\n`)
}

const seconds = (value: string): number => {
  const parsed = Number(value)
  if (!Number.isInteger(parsed) || parsed < 1)
    throw new InvalidArgumentError('Give a number of seconds, 1 or more.')
  return parsed
}

export const tokenCommand = (): Command =>
  records(
    'token.issue',
    addConfigFlags(
      new Command('token')
        .description('Sign a token with CONFAB_JWT_SECRET, or with the development secret of the data folder')
        .requiredOption('--user <id>', 'User of the token')
        .option(
          '--expires <seconds>',
          'Lifetime of the token (default: 30 days, or jwt.maxLifetime if that is less)',
          seconds,
        )
        .addOption(new Option('--role <role>', 'Role of the token, for admin requests').choices([adminRole])),
      ['data'],
    ),
    token,
  )
