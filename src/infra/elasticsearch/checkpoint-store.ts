import type { Client } from '@elastic/elasticsearch'
import { type Checkpoint, type CheckpointStore, FencedError } from '../../projections/index.ts'
import type { CompiledOptions } from './connect.ts'
import { failureOf, named } from './elasticsearch-error.ts'

/** The state of a stream: one document, so fencing token and checkpoints change together. */
interface Progress {
  readonly epoch: number
  readonly checkpoints: readonly Omit<Checkpoint, 'stream'>[]
}

/** A document as last read or written; no version: it does not exist. */
interface Known extends Progress {
  readonly place?: { readonly if_seq_no: number; readonly if_primary_term: number }
}

/** More than the maximum number of streams. */
const most = 10_000

/**
 * Stores checkpoints in an index of their own, one document per stream. A document is replaced only in the version
 * that was read, so of two writers the second reads again and notices a newer claim.
 */
export const elasticsearchCheckpoints = (client: Client, { prefix }: CompiledOptions): CheckpointStore => {
  const alias = `${prefix}-checkpoints`
  const known = new Map<string, Known>()
  const turns = new Map<string, Promise<unknown>>()
  let made: Promise<void> | undefined

  const make = async (): Promise<void> => {
    if (await client.indices.existsAlias({ name: alias })) return
    try {
      await client.indices.create({
        index: `${alias}-1`,
        aliases: { [alias]: { is_write_index: true } },
        mappings: {
          dynamic: 'strict',
          properties: {
            epoch: { type: 'long', index: false, doc_values: false },
            checkpoints: { type: 'object', enabled: false },
          },
        },
        settings: { number_of_shards: 1, auto_expand_replicas: '0-1' },
      })
    } catch (error) {
      if (failureOf(error)?.type !== 'resource_already_exists_exception') throw error
    }
  }
  const ready = (): Promise<void> => {
    made ??= make().catch(error => {
      made = undefined
      throw error
    })
    return made
  }

  const read = async (stream: string): Promise<Known> => {
    try {
      const {
        _source,
        _seq_no = 0,
        _primary_term = 0,
      } = await client.get<Progress>({ index: alias, id: stream })
      const { epoch, checkpoints } = _source as Progress
      return { epoch, checkpoints, place: { if_seq_no: _seq_no, if_primary_term: _primary_term } }
    } catch (error) {
      if (failureOf(error)?.status !== 404 || failureOf(error)?.type !== '') throw error
      return { epoch: 0, checkpoints: [] }
    }
  }

  /**
   * Changes a stream's document; `change` may be called again with a newer one. Rejects with what `change` throws.
   */
  const update = (stream: string, change: (progress: Progress) => Progress): Promise<Progress> => {
    const work = async (): Promise<Progress> => {
      await ready()
      for (let before = known.get(stream); ; before = undefined) {
        before ??= await read(stream)
        try {
          const { epoch, checkpoints } = change(before)
          const { _seq_no = 0, _primary_term = 0 } = await client.index({
            index: alias,
            id: stream,
            require_alias: true,
            document: { epoch, checkpoints },
            ...(before.place ?? { op_type: 'create' as const }),
          })
          const place = { if_seq_no: _seq_no, if_primary_term: _primary_term }
          known.set(stream, { epoch, checkpoints, place })
          return { epoch, checkpoints }
        } catch (error) {
          // Whatever the outcome, the next call reads again.
          const wasKnown = known.delete(stream)
          // The cached document may be old, and a document just read may have been overtaken.
          if (failureOf(error)?.status === 409 || (FencedError.is(error) && wasKnown)) continue
          throw error
        }
      }
    }
    const turn = (turns.get(stream) ?? Promise.resolve()).then(() => named(work))
    const settled = turn.catch(() => {})
    turns.set(stream, settled)
    return turn
  }

  const all = async (): Promise<{ stream: string; progress: Progress }[]> => {
    await ready()
    await client.indices.refresh({ index: alias })
    const { hits } = await client.search<Progress>({
      index: alias,
      size: most,
      allow_partial_search_results: false,
    })
    return hits.hits.map(({ _id, _source }) => ({ stream: _id ?? '', progress: _source as Progress }))
  }

  return {
    load: () =>
      named(async () =>
        (await all()).flatMap(({ stream, progress }) =>
          progress.checkpoints.map(checkpoint => ({ ...checkpoint, stream })),
        ),
      ),
    claim: async stream =>
      (await update(stream, ({ epoch, checkpoints }) => ({ epoch: epoch + 1, checkpoints }))).epoch,
    async save(checkpoints, epoch) {
      const streams = new Set(checkpoints.map(({ stream }) => stream))
      for (const stream of streams) {
        const saved = checkpoints.filter(one => one.stream === stream).map(({ stream: _, ...one }) => one)
        await update(stream, progress => {
          if (progress.epoch !== epoch) throw new FencedError(stream)
          const others = progress.checkpoints.filter(
            one => !saved.some(two => two.projection === one.projection && two.generation === one.generation),
          )
          return { epoch, checkpoints: [...others, ...saved] }
        })
      }
    },
    remove: (projection, generation) =>
      named(async () => {
        for (const { stream } of await all())
          await update(stream, ({ epoch, checkpoints }) => ({
            epoch,
            checkpoints: checkpoints.filter(
              one => one.projection !== projection || one.generation !== generation,
            ),
          }))
      }),
  }
}
