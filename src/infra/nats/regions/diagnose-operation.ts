import type { ExaminedRegions, RegionFinding } from './region-finding.ts'
import { NoMajorityError, RegionJournal } from './region-journal.ts'

/** Finds a change of homes that has begun and is not done: the streams may refuse writes until it ends. */
export const diagnoseOperation = async ({ topology, open }: ExaminedRegions): Promise<RegionFinding[]> => {
  if (topology.regions.length === 1) return []
  try {
    const journal = await RegionJournal.open(open, topology.regions.length, [])
    const { operation } = journal
    if (operation === undefined || operation.isDone) return []
    const { kind, to: where, streams } = operation
    const what = streams.join(', ')
    return (await journal.isRunning())
      ? [{ what, where, state: 'note', detail: `another operator runs "confab region ${kind}" now` }]
      : [
          {
            what,
            where,
            state: 'ill',
            detail: `"confab region ${kind}" has stopped before its end`,
            advice: `finish it with "confab region ${kind} --resume"`,
          },
        ]
  } catch (error) {
    if (!(error instanceof NoMajorityError)) throw error
    return [
      {
        what: 'promises',
        state: 'ill',
        detail: error.message,
        advice:
          'without a majority of the regions no home keeps its lease: start their servers, or run "confab streams apply" in a new system',
      },
    ]
  }
}
