import { Command } from 'commander'
import { type CommandRecorder, records } from '../command/command-effect.ts'
import { addSystemOptions, type SystemFlags } from '../command/config-flags.ts'
import { findFiles, findIrcFiles } from './find-files.ts'
import type { ImportSource } from './import-item.ts'
import { ircSource } from './irc-source.ts'
import { ndjsonSource } from './ndjson.ts'
import { runImport } from './run-import.ts'

const importIrc = async (
  recorder: CommandRecorder,
  paths: string[],
  flags: SystemFlags & { channel: string },
): Promise<void> => {
  const sources: ImportSource[] = []
  for (const file of findIrcFiles(paths)) sources.push(await ircSource(file, flags.channel))
  await runImport(recorder, sources, flags)
}

const importNdjson = async (
  recorder: CommandRecorder,
  paths: string[],
  flags: SystemFlags,
): Promise<void> => {
  const sources: ImportSource[] = []
  for (const path of findFiles(paths, name => /\.(ndjson|jsonl)$/i.test(name)))
    sources.push(await ndjsonSource(path))
  await runImport(recorder, sources, flags)
}

export const importCommand = (): Command => {
  const command = new Command('import').description(
    'Import messages of other systems; the same command again continues, without duplicates',
  )
  records(
    'messages.import',
    addSystemOptions(
      command
        .command('irc')
        .description(
          'Import logs of an IRC channel, written by irssi, WeeChat, ZNC, HexChat, energymech or the archive of #ubuntu. Times without a zone are UTC',
        )
        .argument('<path...>', 'Files, or folders with *.log, *.weechatlog and *.raw.txt'),
    ).option('--channel <name>', 'Name of the channel and of its conversation', 'ubuntu'),
    importIrc,
  )
  records(
    'messages.import',
    addSystemOptions(
      command
        .command('ndjson')
        .description(
          'Import one message a line: {"c","m","from","at","text","replyTo"?}; new conversations become channels',
        )
        .argument('<path...>', 'Files, or folders with *.ndjson and *.jsonl'),
    ),
    importNdjson,
  )
  return command
}
