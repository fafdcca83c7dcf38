import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { runCommand } from './command/run-command.ts'
import { doctorCommand } from './doctor/doctor.ts'
import { importCommand } from './import/import-command.ts'
import { projectionsCommand } from './projections/index.ts'
import { replayCommand } from './replay.ts'
import { sendCommand } from './send.ts'
import { serveCommand } from './serve/serve.ts'
import { storesCommand } from './stores.ts'
import { streamsCommand } from './streams/streams.ts'
import { tailCommand } from './tail.ts'
import { note } from './terminal/output.ts'
import { tokenCommand } from './token.ts'

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string
}

// What confab uses of Node on purpose needs no warning at every start.
process.removeAllListeners('warning')
process.on('warning', warning => {
  if (warning.name !== 'ExperimentalWarning') note(`warning: ${warning.message}`)
})

const program = new Command('confab')
  .description('A real-time chat backend: event-sourced CQRS on NATS JetStream.')
  .version(version)
  .option('--verbose', 'show stacks of errors')
  .configureHelp({ sortSubcommands: false, showGlobalOptions: true })
  .addCommand(serveCommand())
  .addCommand(tokenCommand())
  .addCommand(sendCommand())
  .addCommand(tailCommand())
  .addCommand(importCommand())
  .addCommand(replayCommand())
  .addCommand(streamsCommand())
  .addCommand(storesCommand())
  .addCommand(projectionsCommand())
  .addCommand(doctorCommand())

/** Errors of usage are told as all others are, with code and exit code. */
const throwing = (command: Command): void => {
  command.exitOverride().configureOutput({ outputError: () => {} })
  for (const one of command.commands) throwing(one)
}
throwing(program)

await runCommand(
  () => program.opts<{ verbose?: boolean }>().verbose ?? false,
  async () => {
    await program.parseAsync()
  },
)
