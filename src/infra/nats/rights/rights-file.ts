import type { StreamDefinition } from '../log/stream-definitions.ts'
import { type NatsUser, natsUsers, rightsOf } from './rights.ts'

const purposes: Readonly<Record<NatsUser, string>> = {
  edge: 'a process with the role edge',
  commands: 'a process with the role commands',
  projections: 'a process with the role projections',
  server: 'a process with several roles',
  operator: 'the command line of operators: confab streams, projections, sessions, import, replay, doctor',
  analyst: 'confab replay; it reads the log, and changes nothing',
}

const listOf = (name: string, subjects: readonly string[]): string =>
  `  ${name}: [\n${subjects.map(subject => `    ${JSON.stringify(subject)}`).join('\n')}\n  ]`

/** Returns the rights of all users as variables of a configuration of nats-server: `EDGE`, `COMMANDS`, ... */
export const rightsFile = (streams: readonly StreamDefinition[]): string => {
  const variables = natsUsers.map(user => {
    const { publish, subscribe } = rightsOf(user, streams)
    return `# Of ${purposes[user]}.\n${user.toUpperCase()}: {\n${listOf('publish', publish)}\n${listOf('subscribe', subscribe)}\n}`
  })
  return `# The rights of confab's NATS users: the output of "confab streams rights". nats/users.conf includes this file.
# Print it again after a change of the number of streams in streams/*.yaml, and after an upgrade of confab.

${variables.join('\n\n')}
`
}
