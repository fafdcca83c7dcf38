import { Command, Help, type Option } from 'commander'
import { confabVersion } from '../base/version.ts'
import { auditCommand } from './audit.ts'
import { backupCommand } from './backup.ts'
import { certsCommand } from './certs.ts'
import { runCommand } from './command/run-command.ts'
import { doctorCommand } from './doctor/doctor.ts'
import { importCommand } from './import/index.ts'
import { projectionsCommand } from './projections/index.ts'
import { regionCommand } from './region/index.ts'
import { replayCommand } from './replay.ts'
import { restoreCommand } from './restore.ts'
import { sendCommand } from './send.ts'
import { serveCommand } from './serve/serve.ts'
import { sessionsCommand } from './sessions.ts'
import { storesCommand } from './stores.ts'
import { streamsCommand } from './streams/index.ts'
import { tailCommand } from './tail.ts'
import { helpWidth, note } from './terminal/output.ts'
import { tokenCommand } from './token.ts'
import { topCommand } from './top/top.ts'

const isVerbose = ({ long }: Option): boolean => long === '--verbose'

/** Gives a command and its subcommands one look of help, and makes them throw errors instead of printing them. */
const configure = (command: Command): void => {
  command
    .configureHelp({
      sortSubcommands: false,
      showGlobalOptions: true,
      helpWidth: helpWidth(),
      // `--version` works without a subcommand only.
      visibleGlobalOptions: one =>
        new Help().visibleGlobalOptions.call({ showGlobalOptions: true } as Help, one).filter(isVerbose),
    })
    .helpOption('-h, --help', 'Show this help')
    .exitOverride()
    .configureOutput({ outputError: () => {} })
  if (command.commands.length > 0) command.helpCommand('help [command]', 'Show the help of a command')
  for (const subcommand of command.commands) configure(subcommand)
}

/** The `confab` command with all subcommands. */
export const createProgram = (): Command => {
  const program = new Command('confab')
    .description('A real-time chat backend: event-sourced CQRS on NATS JetStream')
    .version(confabVersion(), '-V, --version', 'Show the version')
    .option('--verbose', 'Show stack traces of errors')
    .addCommand(serveCommand())
    .addCommand(tokenCommand())
    .addCommand(sendCommand())
    .addCommand(tailCommand())
    .addCommand(importCommand())
    .addCommand(replayCommand())
    .addCommand(streamsCommand())
    .addCommand(regionCommand())
    .addCommand(backupCommand())
    .addCommand(restoreCommand())
    .addCommand(storesCommand())
    .addCommand(sessionsCommand())
    .addCommand(certsCommand())
    .addCommand(projectionsCommand())
    .addCommand(auditCommand())
    .addCommand(doctorCommand())
    .addCommand(topCommand())
  configure(program)
  return program
}

/** Runs the command that the arguments of this process name. */
export const runProgram = async (): Promise<void> => {
  // confab uses experimental features of Node on purpose.
  process.removeAllListeners('warning')
  process.on('warning', warning => {
    if (warning.name !== 'ExperimentalWarning') note(`warning: ${warning.message}`)
  })
  const program = createProgram()
  await runCommand(
    () => program.opts<{ verbose?: boolean }>().verbose ?? false,
    async () => {
      await program.parseAsync()
    },
  )
}
