import type { Command } from 'commander'
import t from 'tap'
import { createProgram } from '../../src/cli/program.ts'
import { allOptions, optionFacts, options } from '../../src/infra/config/index.ts'
import { runConfab } from '../harness/replay.ts'

/** Returns a text on one line. */
const flat = (text: string): string => text.replaceAll(/\s+/g, ' ')

const commandsOf = (command: Command): Command[] => [command, ...command.commands.flatMap(commandsOf)]

t.test('serve --help lists every option of the table, and every flag', async t => {
  const { code, stdout } = await runConfab(['serve', '--help'])
  t.equal(code, 0)
  const help = flat(stdout)
  const reference = help.slice(help.indexOf('Configuration: keys of the YAML file'))
  for (const option of allOptions) {
    const { key, variable, flag, type, defaultValue, range, doc } = optionFacts(option)
    const name = key ?? flag?.split(' ')[0] ?? variable
    const facts = [type, `default ${defaultValue}`, ...(range === undefined ? [] : [range])].join('; ')
    const place = variable === undefined || variable === name ? '' : `; ${variable}`
    t.ok(reference.includes(` ${name} ${doc.replaceAll('`', '')} ${facts}${place} `), doc)
  }
  const keys = [...stdout.matchAll(/^ {2}([a-z][\w3]*(?:\.\w+)*) {2,}\S/gm)].map(([, key]) => key)
  t.same(keys.sort(), allOptions.flatMap(({ key }) => key ?? []).sort(), 'no other keys')
  const flags = help.slice(0, help.indexOf('Configuration: keys'))
  for (const { flag } of Object.values(options))
    if (flag !== undefined) t.ok(flags.includes(` ${flag} `), flag)
})

t.test('every option has its own key, variable and meaning', async t => {
  const facts = allOptions.map(optionFacts)
  for (const values of [
    facts.flatMap(({ key }) => key ?? []),
    facts.flatMap(({ variable }) => variable ?? []),
    facts.flatMap(({ flag }) => flag ?? []),
    facts.map(({ key, doc }) => `${key?.split('.')[0]} ${doc}`),
  ])
    t.same(values, [...new Set(values)])
  for (const { doc } of facts) t.match(doc, /^[A-Z0-9].*[.]$/s)
})

t.test('help texts are imperative sentences without a period', async t => {
  for (const command of commandsOf(createProgram())) {
    t.match(command.description(), /^[A-Z].*[^.]$/, command.name())
    for (const { flags, description } of command.options) t.match(description, /^[A-Z].*[^.]$/, flags)
    for (const argument of command.registeredArguments)
      t.match(argument.description, /^[A-Z]/, argument.name())
  }
})

t.test('a help text fits into its width', async t => {
  for (const command of commandsOf(createProgram()))
    for (const line of command.helpInformation().split('\n')) t.ok(line.length <= 120, line)
})
