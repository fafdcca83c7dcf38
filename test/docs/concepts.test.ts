import { readFileSync } from 'node:fs'
import t from 'tap'
import { defaultBusLimits } from '../../src/commands/bus/bus-limits.ts'
import { departedUsers } from '../../src/commands/domain/invitations.ts'
import { recentCapacity } from '../../src/commands/domain/recent-events.ts'
import { slowModeMembers } from '../../src/commands/domain/slow-mode.ts'
import { defaultEdgeLimits } from '../../src/edge/ports/edge-limits.ts'
import { Limits, Requests } from '../../src/events/index.ts'
import { defaultTokenOptions } from '../../src/infra/tokens/options.ts'
import { defaultMediaLimits } from '../../src/media/index.ts'
import { startConfab } from '../harness/confab.ts'

const edge = defaultEdgeLimits
const media = defaultMediaLimits

const tokens = defaultTokenOptions

const grouped = (value: number): string => value.toLocaleString('en')
const seconds = (ms: number): string => `${ms / 1_000} s`
const minutes = (ms: number): string => `${ms / 60_000} minutes`
const days = (ms: number): string => `${ms / 86_400_000} days`
const KiB = (bytes: number): string => `${bytes / 1024} KiB`
const MiB = (bytes: number): string => `${bytes / 1024 ** 2} MiB`

/** Statements of pages in docs/concepts that quote a default or a limit. */
const quoted: Readonly<Record<string, readonly string[]>> = {
  connections: [
    `gRPC calls of one address are limited to ${grouped(edge.addressSockets)} together`,
    `within ${seconds(edge.helloMs)} with 4002`,
    `A user may have ${edge.userSockets} sockets and event streams at a node`,
    `\`heartbeatMs\` (${seconds(edge.heartbeatMs)} by default)`,
    `| over ${KiB(Limits.frameBytes)} | answer \`TOO_LARGE\``,
    `| over ${KiB(edge.closingBytes)} | close with 1009`,
    `| over ${KiB(edge.transportBytes)} | connection dropped`,
  ],
  tokens: [
    `\`jwt.maxLifetime\` (${days(tokens.maxLifetimeMs)} by default)`,
    `\`jwt.clockTolerance\` (${seconds(tokens.clockToleranceMs)} by default)`,
  ],
  conversations: [
    `\`slowModeSeconds\` (0 to ${grouped(Limits.slowModeSeconds)};`,
    `the ${grouped(slowModeMembers)} plain members that posted last`,
    `up to ${grouped(defaultBusLimits.channelMembers)} members (\`commands.channelMembers\`)`,
  ],
  invitations: [
    `the ${grouped(departedUsers)} users that left last`,
    `${grouped(defaultBusLimits.invitations)} open invitations (\`commands.invitations\`)`,
    `${grouped(defaultBusLimits.userInvitations)} of one user`,
    `${grouped(edge.addedUsers)} users in a day`,
  ],
  'application-data': [
    `has at most ${grouped(Limits.dataBytes)} bytes as JSON`,
    `at most ${Limits.dataDepth} levels`,
    `up to ${Limits.profiles} users`,
  ],
  retries: [
    `among the last ${recentCapacity} events`,
    `the reactions of the last ${recentCapacity} events only`,
  ],
  markers: [
    `at most ${edge.receiptMembers} members (\`edge.receiptMembers\`)`,
    `Moves within ${edge.receiptEveryMs} ms cause one signal`,
    `younger than ${days(edge.undeliveredMs)} (\`edge.undelivered\`)`,
  ],
  reading: [
    `lags by more than ${edge.viewWaitMs} ms`,
    `waits up to ${seconds(edge.seenWaitMs)} until it shows`,
    `up to ${grouped(edge.lagEvents)} (\`edge.lagEvents\`)`,
    `within ${KiB(Limits.frameBytes)}`,
  ],
  imports: [`has at most ${grouped(Limits.textBytes)} bytes`, `ids have 1 to ${Limits.idChars} characters`],
  resume: [`at most ${grouped(Limits.resumeEvents)} missed events of a conversation`],
  presence: [
    `sent a request in the last ${minutes(edge.awayMs)}`,
    `${seconds(edge.offlineMs)} have passed since the last session ended`,
    `offline to the others after ${seconds(edge.presenceLifeMs)}`,
    `more than ${grouped(edge.presenceCounted)} members, \`online\` is an estimate`,
    `has at most ${Limits.lastSeenUsers} \`users\``,
    `keeps these times for ${days(edge.lastSeenMs)}`,
    `conversations of at most ${edge.typingMembers} members`,
    `at most once in ${seconds(edge.typingEveryMs)}`,
    `It ends ${seconds(edge.typingSilenceMs)} after the last \`typing\` request`,
  ],
  calls: [
    `at most ${edge.callMembers} members (\`edge.callMembers\`)`,
    `at most ${edge.callSignals} signals per second of a user`,
  ],
  media: [
    `${MiB(media.maxBytes)} by default (\`media.maxSize\`)`,
    `for ${minutes(media.downloadUrlMs)} by default`,
  ],
  'event-streams': [
    `more than ${MiB(edge.backpressureBytes)} are buffered (\`edge.backpressure\`)`,
    `for each conversation, after ${seconds(edge.rosterWaitMs)}`,
    `"heartbeatMs":${edge.heartbeatMs}`,
  ],
  http: [`at most ${KiB(Limits.frameBytes)}`],
  limits: [
    `the rate of ${seconds(edge.burstMs)} at once`,
    `| sockets and event streams of a user | ${edge.userSockets} |`,
    `(IPv6: of a /64 network) | ${grouped(edge.addressSockets)} |`,
    `| clients with a valid token that connect, per second, and at once | ${grouped(edge.hellos)} |`,
    `| of them, before \`hello\` (\`edge.limits.addressNewcomers\`) | ${grouped(edge.addressNewcomers)} |`,
    `(\`edge.limits.addressConnects\`) | ${grouped(edge.addressConnects)} |`,
    `(\`edge.limits.userHellos\`) | ${edge.userHellos} |`,
    `(\`edge.limits.addressFailures\`) | ${edge.addressFailures} |`,
    `| ${grouped(edge.events)} | \`edge.quotas.events\` |`,
    `| ${MiB(edge.eventBytes)} | \`edge.quotas.eventBytes\` |`,
    `| ${grouped(edge.newConversations)} | \`edge.quotas.newConversations\` |`,
    `| ${grouped(edge.uploads)} | \`edge.quotas.uploads\` |`,
    `| ${edge.openUploads} | \`edge.quotas.openUploads\` |`,
    `| ${edge.uploadBytes / 1024 ** 3} GiB | \`edge.quotas.uploadBytes\` |`,
    `| unanswered requests of a socket | ${edge.inFlight} |`,
    `within ${seconds(edge.slowMs)} (\`edge.slow\`)`,
    `| over ${MiB(edge.backpressureBytes)} (\`edge.backpressure\`)`,
    `| over ${edge.bufferedBytes / 1024 ** 3} GiB for all sockets of the node`,
  ],
}

for (const [page, statements] of Object.entries(quoted))
  t.test(`docs/concepts/${page}.md quotes limits and defaults as the code has them`, async t => {
    const text = readFileSync(new URL(`../../docs/concepts/${page}.md`, import.meta.url), 'utf8').replace(
      /\s+/g,
      ' ',
    )
    for (const statement of statements) t.ok(text.includes(statement), statement)
  })

t.test('the default of `limit` in each schema is the length of a page without it', async t => {
  const confab = await startConfab(t)
  const alice = await confab.connect('alice')
  const bob = await confab.connect('bob')
  const many = Array.from({ length: 60 }, (_, i) => i)
  const users = many.map(i => `user-${i}`)
  await alice.ok('create', { c: 'many', kind: 'group', members: ['bob', ...users] })
  await Promise.all(many.map(i => alice.ok('send', { c: 'many', m: `m${i}`, text: 'tea' })))
  await Promise.all(many.map(i => alice.ok('create', { c: `c${i}`, kind: 'group', members: [] })))
  const pages = {
    history: alice.ok('history', { c: 'many' }).then(({ events }) => events),
    inbox: alice.ok('inbox').then(({ items }) => items),
    undelivered: bob.ok('undelivered').then(({ messages }) => messages),
    members: alice.ok('members', { c: 'many' }).then(({ members }) => members),
    search: alice.ok('search', { q: 'tea' }).then(({ hits }) => hits),
  } as const
  for (const [type, page] of Object.entries(pages)) {
    const { limit } = Requests[type as keyof typeof pages].properties
    t.equal(((await page) as unknown[]).length, limit.default, type)
  }
})
