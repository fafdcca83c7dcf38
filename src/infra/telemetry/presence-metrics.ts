import { Counter, Gauge, type Registry } from 'prom-client'
import type { EdgeMetrics } from '../../edge/ports/edge-metrics.ts'

/** What an edge counts of presence. */
export const createPresenceMetrics = (
  registry: Registry,
): Pick<EdgeMetrics, 'presence' | 'presenceStored'> => {
  const registers = [registry]
  const users = new Gauge({
    name: 'confab_edge_presence_users',
    help: 'Users of this node that are online or away',
    registers,
  })
  const watched = new Gauge({
    name: 'confab_edge_presence_watched',
    help: 'Users whose presence is watched here',
    registers,
  })
  const edges = new Gauge({
    name: 'confab_edge_presence_edges',
    help: 'Other nodes that are known to live',
    registers,
  })
  const bytes = new Gauge({
    name: 'confab_edge_presence_bytes',
    help: 'Bytes of what other nodes say of their users',
    registers,
  })
  const pushes = new Counter({
    name: 'confab_edge_presence_pushes_total',
    help: 'States of users that were told to sessions that watch them',
    registers,
  })
  const stored = new Counter({
    name: 'confab_edge_presence_lists_total',
    help: 'Lists of users that were written for other nodes',
    registers,
  })
  return {
    presence: figures => {
      users.set(figures.users)
      watched.set(figures.watched)
      edges.set(figures.edges)
      bytes.set(figures.bytes)
      pushes.inc(figures.pushes)
    },
    presenceStored: lists => stored.inc(lists),
  }
}
