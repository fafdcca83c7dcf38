import { Command } from 'commander'
import { addSystemOptions, type SystemFlags } from '../command/system-options.ts'
import { findFiles, findIrcFiles } from './find-files.ts'
import type { ImportSource } from './import-item.ts'
import { ircSource } from './irc-source.ts'
import { ndjsonSource } from './ndjson-source.ts'
import { runImport } from './run-import.ts'

const importIrc = async (paths: string[], flags: SystemFlags & { channel: string }): Promise<void> => {
  const sources: ImportSource[] = []
  for (const file of findIrcFiles(paths)) sources.push(await ircSource(file, flags.channel))
  await runImport(sources, flags)
}

const importNdjson = async (paths: string[], flags: SystemFlags): Promise<void> => {
  const sources: ImportSource[] = []
  for (const path of findFiles(paths, name => /\.(ndjson|jsonl)$/.test(name)))
    sources.push(await ndjsonSource(path))
  await runImport(sources, flags)
}

export const importCommand = (): Command => {
  const command = new Command('import').description(
    'bring in what was said elsewhere; run again, it goes on or changes nothing',
  )
  addSystemOptions(
    command
      .command('irc')
      .description(
        'logs of an IRC channel, a file a day: *.raw.txt with a date in the name, reply links in *.annotation.txt beside it',
      )
      .argument('<path...>', 'files, or folders that are searched for them'),
  )
    .option('--channel <name>', 'the channel: its conversation is named after it', 'ubuntu')
    .action(importIrc)
  addSystemOptions(
    command
      .command('ndjson')
      .description(
        'one message a line: {"c","m","from","at","text","replyTo"?}; conversations that do not exist become channels',
      )
      .argument('<path...>', 'files, or folders that are searched for *.ndjson and *.jsonl'),
  ).action(importNdjson)
  return command
}
