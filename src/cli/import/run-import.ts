import { openLogWithBus } from '../../app/open-log.ts'
import { openNats } from '../../app/open-nats.ts'
import { createLogLookup, type MessageLookup } from '../../commands/index.ts'
import { CliError } from '../command/cli-error.ts'
import { interruption } from '../command/run-command.ts'
import { configOf, type SystemFlags } from '../command/system-options.ts'
import { count, note, print, span } from '../terminal/output.ts'
import { openCheckpoints } from './checkpoints.ts'
import type { ImportSource } from './import-item.ts'
import { startProgress } from './import-progress.ts'
import { queueWindow } from './import-queue.ts'
import { type ImportCounts, Importer } from './importer.ts'
import { Patience } from './retry.ts'

/** Bad lines that are told of one by one; the rest are counted. */
const maxComplaints = 20

/**
 * A conversation's window has to fit into its queue; larger batches than a server that has others to answer. Channels keep all members in their own log: what was
 * said after a join has to come after it.
 */
const importLimits = {
  queued: queueWindow * 2,
  batchMost: 500,
  channelMembers: Number.MAX_SAFE_INTEGER,
}

/** Memory for the ids of messages that are there already, bytes. */
const indexBytes = 512 * 1024 * 1024

/** How long the log may stay out of reach before the import gives up, ms. */
const patienceMs = 300_000

/** How long the end waits for what is under way, ms. */
const drainMs = 30_000

/** Imports sources into the system that flags name, and says what came of it. Throws CliError when a line was bad or it was interrupted. */
export const runImport = async (sources: readonly ImportSource[], flags: SystemFlags): Promise<void> => {
  const { signal: interrupted, release } = interruption()
  const startedAt = performance.now()
  const config = configOf(flags)
  const system = await openNats(config, 'confab-import', note)
  try {
    let lookup: MessageLookup | undefined
    const { bus, states, feed, close } = await openLogWithBus(system.nats, {
      lookup: (log, events) => {
        lookup = createLogLookup(log, indexBytes, events)
        return lookup
      },
      limits: importLimits,
      replicas: config.natsReplicas,
    })
    try {
      await feed.start()
      const patience = new Patience(patienceMs, trouble => progress.trouble(trouble))
      const signal = AbortSignal.any([interrupted, patience.lost])
      let complaints = 0
      const importer = new Importer({
        bus,
        states,
        checkpoints: await openCheckpoints(system.nats, feed),
        isStored: async (c, m) => {
          // Up to seq 1 or later: once a conversation was read, as it was then.
          const isThere = (await states.conversation(c)) !== undefined
          return isThere && (await lookup?.find(c, m, 1)) !== undefined
        },
        signal,
        patience,
        onBad: (path, line, reason) => {
          complaints++
          if (complaints <= maxComplaints) progress.say(`${path}:${line}: ${reason}`)
          if (complaints === maxComplaints) progress.say('… further bad lines are only counted')
        },
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
      }
      await print(summaryOf(importer.counts, performance.now() - startedAt))
      patience.lost.throwIfAborted()
      if (interrupted.aborted)
        throw new CliError(
          'INTERRUPTED',
          'stopped before the end: the same command again goes on where this one was',
        )
      const { bad } = importer.counts
      if (bad > 0) throw new CliError('BAD_INPUT', `${count(bad)} lines were not imported`)
    } finally {
      await close(drainMs)
    }
  } finally {
    await system.close()
    release()
  }
}

const summaryOf = ({ messages, duplicates, memberships }: ImportCounts, elapsedMs: number): string => {
  if (messages + duplicates + memberships === 0)
    return `nothing new: all of it was imported before; ${span(elapsedMs)}\n`
  const rate = Math.round((messages + memberships) / (elapsedMs / 1000))
  return `${count(messages)} ${messages === 1 ? 'message' : 'messages'} imported, ${count(duplicates)} there already, ${count(memberships)} joins and leaves; ${span(elapsedMs)}, ${count(rate)}/s\n`
}
