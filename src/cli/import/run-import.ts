import { changesOf } from '../../app/open-audit.ts'
import { openLogWithBus } from '../../app/open-log.ts'
import { openNats } from '../../app/open-nats.ts'
import { createLogLookup, type MessageLookup } from '../../commands/index.ts'
import { CliError } from '../command/cli-error.ts'
import type { CommandRecorder } from '../command/command-effect.ts'
import { configOf, type SystemFlags } from '../command/config-flags.ts'
import { interruption } from '../command/run-command.ts'
import { count, note, print, span } from '../terminal/output.ts'
import { type Bar, startBar } from '../terminal/progress-bar.ts'
import { openCheckpoints } from './checkpoints.ts'
import type { ImportSource } from './import-item.ts'
import { queueWindow } from './import-queue.ts'
import { ImportRetry } from './import-retry.ts'
import { type ImportCounts, Importer } from './importer.ts'

/** Progress of an import. */
interface ImportProgress extends Bar {
  /** Shows why the import waits. Undefined: it does not. */
  waitingFor(reason: string | undefined): void
}

const rateOf = (counts: ImportCounts, sinceMs: number): number =>
  Math.round(((addedBy(counts) + counts.duplicates) * 1000) / Math.max(sinceMs, 1))

/** Returns the number of events that an import has appended, without those that create conversations. */
const addedBy = ({ messages, memberships, senderJoins }: ImportCounts): number =>
  messages + memberships + senderJoins

const startProgress = (counts: ImportCounts, totalBytes: number): ImportProgress => {
  const startedAt = performance.now()
  let waitingFor: string | undefined
  const text = (): string => {
    const elapsed = performance.now() - startedAt
    const left = counts.bytes > 0 ? (elapsed / counts.bytes) * (totalBytes - counts.bytes) : undefined
    return [
      `${count(counts.messages)} messages`,
      ...(counts.duplicates > 0 ? [`${count(counts.duplicates)} stored before`] : []),
      ...(counts.bad > 0 ? [`${count(counts.bad)} bad lines`] : []),
      `${count(rateOf(counts, elapsed))}/s`,
      ...(left !== undefined && counts.bytes < totalBytes ? [`${span(left)} left`] : []),
      ...(waitingFor === undefined ? [] : [`waiting: ${waitingFor}`]),
    ].join(', ')
  }
  return {
    ...startBar(() => ({ done: counts.bytes, total: totalBytes, text: text() })),
    waitingFor: reason => {
      waitingFor = reason
    },
  }
}

/**
 * The window of a conversation must fit into its queue. Batches are larger than on a server, which has other commands
 * to answer. The log of a channel holds all its members, so that messages follow the join of their sender.
 */
const importLimits = {
  queued: queueWindow * 2,
  userQueued: queueWindow * 2,
  batchMost: 500,
  channelMembers: Number.MAX_SAFE_INTEGER,
}

/** Memory for the ids of stored messages, bytes. */
const indexBytes = 512 * 1024 * 1024

/** Time without a success after which the import gives up, ms. */
const outageTimeoutMs = 300_000

/** Time that a stop waits for commands under way, ms. */
const drainMs = 30_000

/**
 * Imports sources into the system that flags name, and prints a summary. Throws CliError after bad lines or an
 * interruption.
 */
export const runImport = async (
  recorder: CommandRecorder,
  sources: readonly ImportSource[],
  flags: SystemFlags,
): Promise<void> => {
  const { signal: interrupted, release } = interruption()
  const startedAt = performance.now()
  const config = configOf(flags)
  const system = await openNats(config, 'confab-import', note)
  try {
    const created = Promise.withResolvers<MessageLookup>()
    const { applied, bus, states, feed, close } = await openLogWithBus(system.nats, {
      lookup: (log, events) => {
        const lookup = createLogLookup(log, indexBytes, events)
        created.resolve(lookup)
        return lookup
      },
      limits: importLimits,
      replicas: config.natsReplicas,
      ownsStreams: system.isEmbedded,
    })
    try {
      await feed.start()
      await recorder.perform({ config, nats: system.nats }, {}, async report => {
        const retry = new ImportRetry(outageTimeoutMs, reason => progress.waitingFor(reason))
        const signal = AbortSignal.any([interrupted, retry.gaveUp])
        const importer = new Importer({
          bus,
          states,
          checkpoints: await openCheckpoints(system.nats, feed),
          lookup: await created.promise,
          signal,
          retry,
          onBad: (path, line, reason) => progress.say(`${path}:${line}: ${reason}`),
        })
        const progress = startProgress(
          importer.counts,
          sources.reduce((sum, source) => sum + source.bytes, 0),
        )
        try {
          for (const source of sources) if (!signal.aborted) await importer.add(source)
        } catch (error) {
          if (!signal.aborted) throw error
        } finally {
          await importer.finish()
          progress.stop()
          report({ ...importer.counts, streams: changesOf(applied) })
        }
        await print(summaryOf(importer.counts, performance.now() - startedAt, signal.aborted))
        retry.gaveUp.throwIfAborted()
        if (interrupted.aborted)
          throw new CliError(
            'INTERRUPTED',
            'stopped before the end: run the same command again to continue the import',
          )
        const { bad } = importer.counts
        if (bad > 0)
          throw new CliError(
            'BAD_INPUT',
            `${counted(bad, 'line was', 'lines were')} not imported: correct ${bad === 1 ? 'it' : 'them'} and run the same command again`,
          )
      })
    } finally {
      await close(drainMs)
    }
  } finally {
    await system.close()
    release()
  }
}

const counted = (value: number, one: string, many: string): string =>
  `${count(value)} ${value === 1 ? one : many}`

const summaryOf = (counts: ImportCounts, elapsedMs: number, isInterrupted: boolean): string => {
  const { messages, duplicates, memberships, senderJoins, unchanged, bad, ignored, continued } = counts
  const elapsed = span(elapsedMs)
  if (addedBy(counts) + duplicates + bad === 0 && !isInterrupted)
    return continued + unchanged > 0
      ? `nothing new, all items were imported before; ${elapsed}\n`
      : `nothing to import: the files hold no messages, joins or leaves; ${elapsed}\n`
  const rate = Math.round(addedBy(counts) / (elapsedMs / 1000))
  return `${[
    `${counted(messages, 'message', 'messages')} imported`,
    `${count(duplicates)} stored before`,
    `${count(memberships)} joins and leaves`,
    `${counted(senderJoins, 'join', 'joins')} added for senders`,
    `${counted(ignored, 'line', 'lines')} of other kinds`,
    ...(bad > 0 ? [`${counted(bad, 'line', 'lines')} not imported`] : []),
  ].join(', ')}; ${elapsed}, ${count(rate)}/s\n`
}
