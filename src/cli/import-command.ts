import { Command } from 'commander'
import { createLogLookup, type MessageLookup } from '../commands/index.ts'
import { openNats } from '../open-nats.ts'
import { openWriteSide } from '../write-side.ts'
import { CliError } from './cli-error.ts'
import { openCheckpoints } from './import/checkpoints.ts'
import { findFiles, findIrcFiles } from './import/find-files.ts'
import type { ImportSource } from './import/import-item.ts'
import { laneWindow } from './import/import-lane.ts'
import { startProgress } from './import/import-progress.ts'
import { Importer } from './import/importer.ts'
import { ircSource } from './import/irc-source.ts'
import { ndjsonSource } from './import/ndjson-source.ts'
import { count, note, print, span } from './output.ts'
import { interruption } from './run-command.ts'
import { addSystemOptions, configOf, type SystemFlags } from './system-options.ts'

/** Bad lines that are told of one by one; the rest are counted. */
const maxComplaints = 20

/** A conversation's window has to fit into its queue; larger batches than a server that has others to answer. */
const importLimits = { queued: laneWindow * 2, batchMost: 500 }

/** Memory for the ids of messages that are there already, bytes. */
const indexBytes = 512 * 1024 * 1024

/** How long the end waits for what is under way, ms. */
const drainMs = 30_000

/** Imports sources into the system that flags name, and says what came of it. Throws CliError when a line was bad or it was interrupted. */
const importSources = async (sources: readonly ImportSource[], flags: SystemFlags): Promise<void> => {
  const { signal, release } = interruption()
  const startedAt = performance.now()
  const system = await openNats(configOf(flags), 'confab-import', note)
  try {
    let lookup: MessageLookup | undefined
    const writeSide = await openWriteSide(system.nats, {
      lookup: (log, events) => {
        lookup = createLogLookup(log, indexBytes, events)
        return lookup
      },
      limits: importLimits,
    })
    const { bus, feed } = writeSide
    await feed.start()
    try {
      const totalBytes = sources.reduce((sum, source) => sum + source.bytes, 0)
      let complaints = 0
      const importer = new Importer({
        bus,
        checkpoints: await openCheckpoints(system.nats, feed),
        isStored: async (c, m) => {
          // Up to seq 1 or later: once a conversation was read, as it was then.
          const isThere = (await bus.conversation(c)) !== undefined
          return isThere && (await lookup?.find(c, m, 1)) !== undefined
        },
        signal,
        onBad: (path, line, reason) => {
          complaints++
          if (complaints <= maxComplaints) progress.say(`${path}:${line}: ${reason}`)
          if (complaints === maxComplaints) progress.say('… further bad lines are only counted')
        },
        onTrouble: trouble => progress.trouble(trouble),
      })
      const progress = startProgress(importer.counts, totalBytes)
      try {
        for (const source of sources) if (!signal.aborted) await importer.add(source)
        await importer.finish()
      } finally {
        progress.stop()
      }
      await report(importer, performance.now() - startedAt, signal.aborted)
    } finally {
      await writeSide.close(drainMs)
    }
  } finally {
    await system.close()
    release()
  }
}

const report = async ({ counts }: Importer, elapsedMs: number, isInterrupted: boolean): Promise<void> => {
  const { messages, duplicates, memberships, bad } = counts
  const rate = Math.round((messages + memberships) / (elapsedMs / 1000))
  await print(
    `${count(messages)} messages imported, ${count(duplicates)} were there already, ${count(memberships)} joins and leaves; ${span(elapsedMs)}, ${count(rate)}/s\n`,
  )
  if (isInterrupted)
    throw new CliError(
      'INTERRUPTED',
      'stopped before the end: the same command again goes on where this one was',
    )
  if (bad > 0) throw new CliError('BAD_INPUT', `${count(bad)} lines were not imported`)
}

const importIrc = async (paths: string[], flags: SystemFlags & { channel: string }): Promise<void> => {
  const sources: ImportSource[] = []
  for (const file of findIrcFiles(paths)) sources.push(await ircSource(file, flags.channel))
  await importSources(sources, flags)
}

const importNdjson = async (paths: string[], flags: SystemFlags): Promise<void> => {
  const sources: ImportSource[] = []
  for (const path of findFiles(paths, name => /\.(ndjson|jsonl)$/.test(name)))
    sources.push(await ndjsonSource(path))
  await importSources(sources, flags)
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
