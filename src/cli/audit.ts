import { Command, InvalidArgumentError } from 'commander'
import { auditStreamOf } from '../app/open-audit.ts'
import {
  AuditError,
  AuditProblem,
  type AuditRecord,
  auditKeyOf,
  type ChainHead,
  type ChainVerdict,
  ChainVerifier,
  parseRecord,
} from '../audit/index.ts'
import { sleep } from '../base/sleep.ts'
import type { ConfabConfig } from '../infra/config/index.ts'
import type { AuditStream } from '../infra/nats/index.ts'
import { CliError } from './command/cli-error.ts'
import { reads } from './command/command-effect.ts'
import { addSystemOptions, configOf, openExisting, type SystemFlags } from './command/config-flags.ts'
import { countUpTo, timeValue } from './command/flag-values.ts'
import { interruption } from './command/run-command.ts'
import { count, note, print, styled, table } from './terminal/output.ts'
import { startBar } from './terminal/progress-bar.ts'

/** Interval at which `--follow` looks for new records, ms. */
const followEveryMs = 500

/** The stream and the configuration of a command about it. */
interface Operation {
  readonly stream: AuditStream
  readonly config: ConfabConfig
  /** Aborts at Ctrl-C. */
  readonly signal: AbortSignal
}

const operate = async (flags: SystemFlags, work: (operation: Operation) => Promise<void>): Promise<void> => {
  const config = configOf(flags)
  const { signal, release } = interruption()
  const system = await openExisting(config, 'confab-audit')
  try {
    await work({ stream: auditStreamOf(system.nats, config), config, signal })
  } finally {
    await system.close()
    release()
  }
}

interface ListFlags extends SystemFlags {
  readonly since?: Date
  readonly until?: Date
  readonly actor?: string
  readonly action?: string
  readonly limit: number
  readonly follow?: boolean
  readonly json?: boolean
}

/** Whether a filter names a code, or the group before its dot: `projections` names `projections.drop`. */
const namesAction = (filter: string, action: string): boolean =>
  action === filter || action.startsWith(`${filter}.`)

/** Whether a filter names an actor, with or without its kind: `olga` names `operator:olga`. */
const namesActor = (filter: string, { actor, osUser }: AuditRecord): boolean =>
  actor === filter || actor.slice(actor.indexOf(':') + 1) === filter || osUser === filter

const isSelected = (record: AuditRecord, { since, until, actor, action }: ListFlags): boolean => {
  const at = Date.parse(record.at)
  return (
    at >= (since?.getTime() ?? Number.NEGATIVE_INFINITY) &&
    at < (until?.getTime() ?? Number.POSITIVE_INFINITY) &&
    (actor === undefined || namesActor(actor, record)) &&
    (action === undefined || namesAction(action, record.action))
  )
}

/** Replaces control characters, which could change the terminal: requests of strangers are recorded, too. */
const printable = (text: string): string => text.replaceAll(/\p{Cc}/gu, '\ufffd')

const colours = { started: 'yellow', done: 'green', refused: 'red', failed: 'red' } as const

const factsText = ({ params, result }: AuditRecord): string =>
  Object.entries({ ...params, ...result })
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' ')

const rowOf = (record: AuditRecord): string[] => {
  const { seq, at, actor, role, action, target = '–', outcome, code } = record
  return [
    String(seq),
    `${at.slice(0, 19)}Z`,
    printable(role === undefined ? actor : `${actor} (${role})`),
    printable(action),
    printable(target),
    styled(colours[outcome], code === undefined ? outcome : printable(`${outcome} ${code}`)),
    printable(factsText(record)),
  ]
}

const columns = [
  { title: 'seq', align: 'right' as const },
  { title: 'at' },
  { title: 'actor' },
  { title: 'action' },
  { title: 'target' },
  { title: 'outcome' },
  { title: 'facts' },
]

/** Leaves out the first record of each action whose last one is there. */
const withoutStarts = (records: readonly AuditRecord[]): AuditRecord[] => {
  const ended = new Set(records.filter(({ outcome }) => outcome !== 'started').map(({ request }) => request))
  return records.filter(({ outcome, request }) => outcome !== 'started' || !ended.has(request))
}

const list = (flags: ListFlags): Promise<void> =>
  operate(flags, async ({ stream, signal }) => {
    let next = 1
    /** Yields the selected records that are stored now and were not yielded before. */
    const stored = async function* (): AsyncIterable<readonly AuditRecord[]> {
      for await (const page of stream.read(next, await stream.last())) {
        if (signal.aborted) return
        next = (page.at(-1)?.streamSeq ?? next) + 1
        const records = page.flatMap(({ data }) => parseRecord(data) ?? [])
        yield records.filter(record => isSelected(record, flags))
      }
    }
    let newest: AuditRecord[] = []
    for await (const records of stored()) newest = [...newest, ...records].slice(-flags.limit)
    // A part of the records would look like all of them.
    if (!flags.follow) signal.throwIfAborted()
    if (flags.follow) {
      const lines = (records: readonly AuditRecord[]) =>
        records.map(record => `${flags.json ? JSON.stringify(record) : rowOf(record).join('  ')}\n`).join('')
      await print(lines(newest))
      for (; !signal.aborted; await sleep(followEveryMs, signal))
        for await (const records of stored()) await print(lines(records))
    } else if (flags.json) await print(`${JSON.stringify(newest, undefined, 2)}\n`)
    else if (newest.length === 0) note('no records')
    else await print(table(columns, withoutStarts(newest).map(rowOf)))
  })

interface VerifyFlags extends SystemFlags {
  readonly anchor?: ChainHead
  readonly json?: boolean
}

/** Checks all records that are stored at the start. Throws CliError INTERRUPTED. */
const verdictOf = async (
  { stream, config, signal }: Operation,
  anchor: ChainHead | undefined,
): Promise<ChainVerdict> => {
  const { key, previousKeys = [] } = config.audit
  const keys = [...(key === undefined ? [] : [key]), ...previousKeys].map(auditKeyOf)
  const verifier = new ChainVerifier({ keys, anchor })
  const last = await stream.last()
  let done = 0
  const bar = startBar(() => ({ done, total: last, text: `${count(done)} of ${count(last)} records` }))
  try {
    for await (const page of stream.read(1, last)) {
      if (signal.aborted) throw new CliError('INTERRUPTED', 'stopped before the end of the audit stream')
      for (const record of page) verifier.take(record)
      done = page.at(-1)?.streamSeq ?? done
    }
  } finally {
    bar.stop()
  }
  return verifier.end(last)
}

const anchorText = ({ seq, hash }: ChainHead): string => `${seq}:${hash}`

const verify = (flags: VerifyFlags): Promise<void> =>
  operate(flags, async operation => {
    const verdict = await verdictOf(operation, flags.anchor)
    const { records, signed, head, breaks, broken } = verdict
    if (flags.json)
      await print(
        `${JSON.stringify({ ...verdict, anchor: head === undefined ? null : anchorText(head) }, undefined, 2)}\n`,
      )
    else if (breaks.length > 0)
      await print(
        table(
          [{ title: 'seq', align: 'right' }, { title: 'problem' }, { title: 'detail' }],
          breaks.map(({ seq, kind, detail }) => [seq, styled('red', kind), detail]),
        ),
      )
    else if (head === undefined) note('no records')
    else {
      note(
        `${count(records)} records are complete and unchanged${signed > 0 ? `, ${count(signed)} signed` : ''}`,
      )
      note('keep the anchor outside of this system: "confab audit verify --anchor" compares it later')
      await print(`${anchorText(head)}\n`)
    }
    const [first] = breaks
    if (first !== undefined)
      throw new AuditError(
        AuditProblem.broken,
        `the chain is broken at record ${first.seq}: ${first.detail}${broken > 1 ? `; ${count(broken - 1)} more` : ''}`,
      )
  })

const anchorOf = (value: string): ChainHead => {
  const [, seq, hash = ''] = /^([1-9]\d{0,14}):([0-9a-f]{64})$/.exec(value) ?? []
  if (seq === undefined)
    throw new InvalidArgumentError('Give an anchor as "confab audit verify" prints it: SEQ:HASH.')
  return { seq: Number(seq), hash }
}

export const auditCommand = (): Command => {
  const command = new Command('audit').description('Show and check what operators and admins did')
  reads(
    addSystemOptions(command.command('ls').description('Show audit records, oldest first'))
      .option('--since <time>', 'Only records of this time or later', timeValue)
      .option('--until <time>', 'Only records of an earlier time', timeValue)
      .option('--actor <name>', 'Only records of this operator, user of a token, or process')
      .option('--action <action>', 'Only this action, or all of a group such as projections')
      .option('--limit <n>', 'Newest records to show, at most 100000', countUpTo(100_000), 100)
      .option('--follow', 'Show new records until Ctrl-C')
      .option('--json', 'Output JSON; with --follow one record a line')
      .action(list),
  )
  reads(
    addSystemOptions(
      command
        .command('verify')
        .description(
          'Check that no audit record was changed, removed, moved or forged, and print the anchor',
        ),
    )
      .option('--anchor <seq:hash>', 'Compare with an anchor that an earlier check printed', anchorOf)
      .option('--json', 'Output JSON')
      .action(verify),
  )
  return command
}
