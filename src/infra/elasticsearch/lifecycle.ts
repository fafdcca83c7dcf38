import type { Client } from '@elastic/elasticsearch'
import { failureOf } from './elasticsearch-error.ts'
import type { CompiledOptions } from './elasticsearch-options.ts'

/**
 * Uses the server's index lifecycle management for closed indices: merging, and removal after the retention period.
 * confab rolls indices over itself, also where ILM exists (ADR 0019).
 */
export interface Lifecycle {
  /** Whether the server has ILM. */
  isThere(): Promise<boolean>
  /** Puts an index under the policy. Its last message is older than `until`, ms since 1970. */
  closed(index: string, until: number): Promise<void>
}

export const lifecycleOf = (client: Client, { prefix, retentionMs }: CompiledOptions): Lifecycle => {
  const name = `${prefix}-search`
  let found: boolean | undefined
  let isStored = false

  const isThere = async (): Promise<boolean> => {
    if (found !== undefined) return found
    try {
      await client.ilm.getStatus()
      found = true
    } catch (error) {
      // Servers without ILM lack this path.
      if (![400, 404, 405].includes(failureOf(error)?.status ?? 0)) throw error
      found = false
    }
    return found
  }

  return {
    isThere,
    async closed(index, until) {
      if (!(await isThere())) return
      if (!isStored) {
        await client.ilm.putLifecycle({
          name,
          policy: {
            phases: {
              hot: { actions: {} },
              warm: { min_age: '1d', actions: { forcemerge: { max_num_segments: 1 } } },
              ...(retentionMs === undefined
                ? {}
                : { delete: { min_age: `${retentionMs}ms`, actions: { delete: {} } } }),
            },
          },
        })
        isStored = true
      }
      await client.indices.putSettings({
        index,
        settings: { lifecycle: { name, origination_date: until } },
      })
    },
  }
}
