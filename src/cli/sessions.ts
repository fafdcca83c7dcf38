import { Command } from 'commander'
import { sleep } from '../base/sleep.ts'
import {
  createSessionQueries,
  keyOf,
  type NodeSessions,
  openRevocationBucket,
  type Revocation,
  type RevocationStore,
  type SessionFacts,
  type SessionQueries,
  type SessionQuery,
} from '../infra/nats/index.ts'
import { CliError } from './command/cli-error.ts'
import { type CommandRecorder, type RecordedSystem, reads, records } from './command/command-effect.ts'
import {
  addSystemOptions,
  configOf,
  openExisting,
  requireSessionId,
  type SystemFlags,
  userIdOf,
} from './command/config-flags.ts'
import { confirm } from './command/confirm.ts'
import { countUpTo, timeValue } from './command/flag-values.ts'
import { count, note, print, span, table } from './terminal/output.ts'

/** How long `end` waits for the nodes to close the sessions, ms. */
const closingMs = 5_000
const askEveryMs = 100

interface Operation extends RecordedSystem {
  readonly queries: SessionQueries
  openRevocations(): Promise<RevocationStore>
}

const operate = async (flags: SystemFlags, work: (operation: Operation) => Promise<void>): Promise<void> => {
  const config = configOf(flags)
  const system = await openExisting(config, 'confab-sessions')
  try {
    const { maxLifetimeMs, clockToleranceMs } = config.tokens
    await work({
      config,
      nats: system.nats,
      queries: createSessionQueries(system.nats),
      openRevocations: () =>
        openRevocationBucket(system.nats, {
          keepMs: maxLifetimeMs + clockToleranceMs,
          replicas: config.natsReplicas,
        }),
    })
  } finally {
    await system.close()
  }
}

/** A session with its node. */
interface Row extends SessionFacts {
  readonly node: string
}

/** The first sessions of all nodes, in the order by user and session. */
const firstOf = (nodes: readonly NodeSessions[], limit: number): Row[] =>
  nodes
    .flatMap(({ node, sessions }) => sessions.map(facts => ({ ...facts, node })))
    .sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
    .slice(0, limit)

const matchingIn = (nodes: readonly NodeSessions[]): number =>
  nodes.reduce((sum, { matching }) => sum + matching, 0)

const plural = (sessions: number): string => `${count(sessions)} ${sessions === 1 ? 'session' : 'sessions'}`

const timeText = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')

interface ListFlags extends SystemFlags {
  readonly user?: string
  readonly limit: number
  readonly after?: string
  readonly json?: boolean
}

const list = (flags: ListFlags): Promise<void> => {
  const { limit, after } = flags
  const user = flags.user === undefined ? undefined : userIdOf(flags.user)
  return operate(flags, async ({ queries }) => {
    const nodes = await queries.ask(
      { limit, ...(user === undefined ? {} : { user }), ...(after === undefined ? {} : { after }) },
      0,
    )
    const rows = firstOf(nodes, limit)
    const last = rows.at(-1)
    const next = rows.length === limit && last !== undefined ? keyOf(last) : undefined
    if (flags.json) {
      const sessions = rows.map(({ token: _, since, active, ...facts }) => ({
        ...facts,
        since: new Date(since).toISOString(),
        active: new Date(active).toISOString(),
      }))
      return print(
        `${JSON.stringify({ sessions, nodes: nodes.length, matching: matchingIn(nodes), next }, undefined, 2)}\n`,
      )
    }
    await print(
      table(
        [
          { title: 'user' },
          { title: 'session' },
          { title: 'device' },
          { title: 'transport' },
          { title: 'address' },
          { title: 'since' },
          { title: 'last active', align: 'right' },
          { title: 'node' },
        ],
        rows.map(({ user, session, device, transport, address, since, active, node }) => [
          user,
          session,
          device ?? '–',
          transport,
          address ?? '–',
          timeText(since),
          span(Math.max(0, Date.now() - active)),
          node,
        ]),
      ),
    )
    note(`${plural(matchingIn(nodes))} on ${count(nodes.length)} ${nodes.length === 1 ? 'node' : 'nodes'}`)
    if (next !== undefined) note(`further sessions: --after ${next}`)
  })
}

interface EndFlags extends SystemFlags {
  readonly user?: string
  readonly session?: string
  readonly issuedBefore?: Date
  readonly yes?: boolean
}

/** A revocation, with the sessions that it concerns and its text for people. */
interface Plan {
  readonly revocation: Revocation
  readonly query: SessionQuery
  readonly text: string
}

const planOfSession = async (queries: SessionQueries, flags: EndFlags, session: string): Promise<Plan> => {
  const user = flags.user === undefined ? {} : { user: flags.user }
  const [row] = firstOf(await queries.ask({ session, ...user, limit: 1 }, 0), 1)
  if (row === undefined)
    throw new CliError(
      'NO_SUCH_SESSION',
      `no node has the session ${session}: "confab sessions ls" shows ids`,
    )
  const device = row.device === undefined ? '' : ` on device ${row.device}`
  return {
    revocation: { of: 'token', user: row.user, token: row.token },
    query: { session, user: row.user, limit: 1 },
    text: `session ${session} of ${row.user}${device}, connected since ${timeText(row.since)}, and its token`,
  }
}

const planOf = async (queries: SessionQueries, flags: EndFlags): Promise<Plan> => {
  const { user, session, issuedBefore } = flags
  if (session !== undefined) {
    if (issuedBefore !== undefined)
      throw new CliError('BAD_OPTION', '--issued-before: not together with --session')
    return await planOfSession(queries, flags, session)
  }
  if (user === undefined && issuedBefore === undefined)
    throw new CliError('BAD_OPTION', 'name the sessions to end with --user, --session or --issued-before')
  const before = issuedBefore?.getTime() ?? Date.now()
  if (before > Date.now()) throw new CliError('BAD_OPTION', '--issued-before: must not be in the future')
  const when = `tokens that were issued before ${timeText(before)}`
  return user === undefined
    ? {
        revocation: { of: 'everyone', before },
        query: { issuedBefore: before, limit: 1 },
        text: `sessions of ALL users with ${when}`,
      }
    : {
        revocation: { of: 'user', user, before },
        query: { user, issuedBefore: before, limit: 1 },
        text: `sessions of ${user} with ${when}`,
      }
}

/** The target of a revocation in an audit record. */
const targetOf = (revocation: Revocation): string =>
  revocation.of === 'everyone' ? 'users:all' : `user:${revocation.user}`

const end = (recorder: CommandRecorder, given: EndFlags): Promise<void> => {
  const user = given.user === undefined ? undefined : userIdOf(given.user)
  const flags = user === undefined ? given : { ...given, user }
  if (flags.session !== undefined) requireSessionId(flags.session)
  return operate(flags, async operation => {
    const { queries, openRevocations } = operation
    const { revocation, query, text } = await planOf(queries, flags)
    const nodes = await queries.ask(query, 0)
    const open = matchingIn(nodes)
    const summary = `${text} (${plural(open)} open)`
    if (!flags.yes && !(await confirm(`End ${summary}?`))) {
      recorder.nothingChanged()
      return note('nothing was ended')
    }
    await recorder.perform(operation, { target: targetOf(revocation) }, async report => {
      await (await openRevocations()).put(revocation)
      note(`revoked: ${summary}`)
      const deadline = performance.now() + closingMs
      let left = open
      while (left > 0 && performance.now() < deadline) {
        await sleep(askEveryMs)
        left = matchingIn(await queries.ask(query, nodes.length))
      }
      report({ revoked: revocation, closed: open - left, open: left })
      note(`${plural(open - left)} closed; all nodes refuse the tokens from now on`)
      if (left > 0)
        throw new CliError(
          'NOT_READY',
          `${plural(left)} still open after ${span(closingMs)}: check that all edge nodes are ready (/readyz)`,
        )
    })
  })
}

export const sessionsCommand = (): Command => {
  const command = new Command('sessions').description('List the sessions of clients, and end them')
  reads(
    addSystemOptions(command.command('ls').description('List sessions, sorted by user, a page at a time'))
      .option('--user <id>', 'Show the sessions of one user')
      .option('--limit <n>', 'Number of sessions in the page, at most 1000', countUpTo(1_000), 50)
      .option('--after <key>', 'Continue after the last session of a page, as its last line says')
      .option('--json', 'Output JSON')
      .action(list),
  )
  records(
    'sessions.end',
    addSystemOptions(
      command
        .command('end')
        .description('Revoke tokens: close their sessions at all nodes, and refuse the tokens from then on'),
    )
      .option('--user <id>', 'Revoke all tokens of a user that were issued until now')
      .option('--session <id>', 'Revoke the token of one session')
      .option(
        '--issued-before <time>',
        'Revoke tokens issued before this time, of the user or of all users',
        timeValue,
      )
      .option('--yes', 'Do not ask'),
    end,
  )
  return command
}
