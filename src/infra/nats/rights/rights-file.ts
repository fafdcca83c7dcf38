import type { StreamDefinition } from '../log/stream-definitions.ts'
import { type Account, type AccountExport, accountOf, accountsOf, logAccount, outgoing } from './accounts.ts'
import { isBatchRequest, type NatsUser, natsUsers, rightsOf } from './rights.ts'

const purposes: Readonly<Record<NatsUser, string>> = {
  edge: 'a process with the role edge',
  commands: 'a process with the role commands',
  projections: 'a process with the role projections',
  server: 'a process with several roles',
  operator: 'the command line of operators: confab streams, projections, sessions, import, replay, doctor',
  analyst: 'confab replay; it reads the log, and changes nothing',
}

/** Time after the last answer to a batch of direct gets for which the server keeps its own reply subject. */
const batchThreshold = '3s'

const quote = (text: string): string => JSON.stringify(text)

const block = (name: string, [open, close]: string, lines: readonly string[]): string =>
  `${name}: ${open}${lines.map(line => `\n  ${line}`).join('')}${lines.length === 0 ? '' : '\n'}${close}`

const exportLine = ({ kind, subject, hasManyAnswers, accounts }: AccountExport): string => {
  const answers = hasManyAnswers ? ', response_type: stream' : ''
  // The server cannot know which answer is the last one. Each request costs a kilobyte of its memory for this time.
  const threshold = isBatchRequest(subject) ? `, response_threshold: ${quote(batchThreshold)}` : ''
  return `{ ${kind}: ${quote(subject)}, accounts: [${accounts.join(', ')}]${answers}${threshold} }`
}

/** Returns what an account shares, as variables of a configuration of nats-server. */
const accountVariables = (name: string, { exports, imports, mappings }: Account): string => {
  const importLines = imports.map(
    ({ kind, account, subject, to }) =>
      `{ ${kind}: { account: ${account}, subject: ${quote(subject)} }${to === subject ? '' : `, to: ${quote(to)}`} }`,
  )
  const mappingLines = Object.entries(mappings).map(([from, to]) => `${quote(from)}: ${quote(to)}`)
  return [
    block(`${name}_EXPORTS`, '[]', exports.map(exportLine)),
    block(`${name}_IMPORTS`, '[]', importLines),
    block(`${name}_MAPPINGS`, '{}', mappingLines),
  ].join('\n')
}

/** Returns the rights of a user as a variable of a configuration of nats-server, such as `EDGE_RIGHTS`. */
const rightsVariable = (
  user: NatsUser,
  streams: readonly StreamDefinition[],
  accounts: ReadonlyMap<string, Account>,
): string => {
  const { publish, subscribe } = rightsOf(user, streams)
  const { mappings = {} } = accounts.get(accountOf(user)) ?? {}
  // A server checks the subject that a mapping gives to a message. Processes check the one that they use.
  const mapped = publish.filter(subject => subject in mappings).map(outgoing)
  const lines = [
    block('publish', '[]', [...publish, ...mapped].map(quote)),
    block('subscribe', '[]', subscribe.map(quote)),
  ].flatMap(text => text.split('\n'))
  return `# Of ${purposes[user]}.\n${block(`${user.toUpperCase()}_RIGHTS`, '{}', lines)}`
}

/**
 * Returns the rights of all users, and what their accounts share, as variables of a configuration of nats-server:
 * `EDGE_RIGHTS`, `EDGE_EXPORTS`, `EDGE_IMPORTS`, `EDGE_MAPPINGS`, ...
 */
export const rightsFile = (streams: readonly StreamDefinition[]): string => {
  const accounts = accountsOf(streams)
  const rights = natsUsers.map(user => rightsVariable(user, streams, accounts))
  const shared = [...accounts].map(
    ([name, account]) =>
      `# The account ${name}${name === logAccount ? ', which owns JetStream' : ''}.\n${accountVariables(name, account)}`,
  )
  return `# The rights of confab's NATS users, and what their accounts share: the output of "confab streams rights".
# nats/users.conf and nats/tls/users.conf include this file. Print it again after a change of the number of streams in
# streams/*.yaml, and after an upgrade of confab.

${rights.join('\n\n')}

${shared.join('\n\n')}
`
}

/** Returns the rights of edge nodes alone, for the nats-server of an edge site: it refuses variables without a use. */
export const edgeRightsFile = (
  streams: readonly StreamDefinition[],
): string => `# The rights of edge nodes at an edge site: the output of "confab streams rights --edge-site".
# nats/tls/edge-site.conf includes this file. Print it again whenever rights.conf changes.

${rightsVariable('edge', streams, accountsOf(streams))}
`
