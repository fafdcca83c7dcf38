import type { Option } from '../../src/base/option.ts'
import {
  type NodeBound,
  nodeBounds,
  type OptionGroup,
  optionFacts,
  optionGroups,
} from '../../src/infra/config/index.ts'
import { alignedTable } from './markdown.ts'

const introduction = `# Configuration

<!-- Generated from the option tables in src by scripts/generate-docs.ts. Do not edit. -->

A process reads its options once, when it starts. It refuses to start when a value is wrong or a key is unknown, and
names the place of each.

## Sources
In order of precedence:

1. Flags of the command line, such as \`--port 8081\`. Few options have one.
2. Environment variables. A key gives the name: \`edge.inFlight\` is \`CONFAB_EDGE_IN_FLIGHT\`. The tables list all names.
   A variable of a secret, or of a URL with credentials, has a second one with the suffix \`_FILE\`, which names a file
   with the value: \`CONFAB_JWT_SECRET_FILE\`. In the YAML file, \`file:/run/secrets/jwt\` does the same.
3. The YAML file that \`--config\` or \`CONFAB_CONFIG\` names. Dots of a key are levels of the file.
4. The defaults.

\`\`\`yaml
port: 8081
nats:
  servers: [nats://one:4222, nats://two:4222]
edge:
  corsOrigins: [https://chat.example.com]
  limits:
    userRequests: 100
commands:
  cache: 1GiB
\`\`\`

## Values
- **duration**: a number with its unit: \`ms\`, \`s\`, \`m\`, \`h\` or \`d\`, such as \`500ms\` or \`1.5h\`.
- **size**: a number with its unit: \`B\`, \`KiB\`, \`MiB\`, \`GiB\` (powers of 1024) or \`kB\`, \`MB\`, \`GB\` (powers of 1000).
- **integer**: a whole number. The unit in the table says what it counts; do not write it.
- **list**: values separated by commas, or a YAML list.
- **path**: relative paths start from the folder of the YAML file, and otherwise from the working directory.
- **off**: no bound. Options that allow it say so.

Bounds hold for one process: for two edge nodes, a user may have twice \`edge.limits.userSockets\`.
`

const code = (text: string): string => `\`${text}\``

const row = (option: Option): string[] => {
  const { key, variable, flag, type, defaultValue, range, doc } = optionFacts(option)
  return [
    key === undefined ? '' : code(key),
    type,
    defaultValue === 'none' ? '' : option.shownDefault === undefined ? code(defaultValue) : defaultValue,
    range ?? '',
    variable === undefined ? '' : code(variable),
    flag === undefined ? '' : code(flag),
    doc,
  ]
}

const section = ({ title, options }: OptionGroup): string => {
  const titles = ['Key', 'Type', 'Default', 'Range', 'Environment variable', 'Flag', 'Meaning']
  const rows = Object.values(options).map(row)
  const used = titles.map((_, column) => rows.some(cells => cells[column] !== ''))
  const keep = (cells: readonly string[]): string[] => cells.filter((_, column) => used[column])
  return `\n## ${title}\n${alignedTable(keep(titles), rows.map(keep))}`
}

const boundsIntroduction = `
## Bounds that clients share
A bound that all clients of a process (or of a conversation) use up together has a share for each user, or for each
client address where there is no user yet. A holder that has its whole share leaves the others served. Caches are not
listed: a full cache costs reads and refuses no client. Behind a proxy, set \`edge.trustProxy\`: otherwise all clients
share the address of the proxy.

Connections have no bound of their own besides the file descriptors of the process: an address has
\`edge.limits.addressSockets\` of them, \`edge.limits.addressNewcomers\` before \`hello\`, and opens
\`edge.limits.addressConnects\` a second. The node closes a connection without a whole request after about half
a minute.

`

const boundRow = ({ bound, holder, share, beyond }: NodeBound): string[] => {
  const shown = typeof share === 'string' ? share : `${code(share.key!)}: ${optionFacts(share).defaultValue}`
  return [code(bound.key!), optionFacts(bound).defaultValue, holder, shown, beyond]
}

const sharedBounds = (): string =>
  boundsIntroduction +
  alignedTable(['Bound', 'Default', 'Holder', 'Share', 'Beyond the share'], nodeBounds.map(boundRow))

export const path = 'docs/configuration.md'

/** docs/configuration.md: every option, by group. */
export const generate = (): string => introduction + optionGroups.map(section).join('') + sharedBounds()
