import { startConfab } from '../harness/confab.ts'
import type { Row } from '../row.ts'

export const startRow: Row = {
  name: 'start',
  figures: [
    {
      path: 'start to ready, empty folder, nats-server cached',
      unit: 's',
      target: { rule: 'at most', value: 2 },
    },
  ],
  prepare: async () => ({
    ours: async () => {
      const confab = await startConfab()
      await confab.stop()
      return [confab.readyMs / 1000]
    },
  }),
}
