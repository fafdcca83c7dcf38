import { type Option, variableOf } from '../../base/option.ts'
import { optionGroups } from './option-groups.ts'

/** The facts of an option as the reference shows them. */
export interface OptionFacts {
  /** Key in the YAML file. Not given: the option is a flag or an environment variable only. */
  readonly key: string | undefined
  readonly variable: string | undefined
  readonly flag: string | undefined
  /** Type, with the unit of an integer: `duration`, `integer, requests/s`. */
  readonly type: string
  /** `none` where there is no default. */
  readonly defaultValue: string
  readonly range: string | undefined
  readonly doc: string
}

export const optionFacts = (option: Option): OptionFacts => {
  const { key, type, unit, flag, doc } = option
  const written = (): string => type.write?.(option.default) ?? String(option.default)
  return {
    key,
    variable: variableOf(option),
    flag,
    type: unit === undefined ? type.name : `${type.name}, ${unit}`,
    defaultValue: option.shownDefault ?? (option.default === undefined ? 'none' : written()),
    range: type.range,
    doc,
  }
}

const nameWidth = 34
const indent = ' '.repeat(nameWidth + 2)

/** Breaks a text into lines that fit beside the names. */
const wrap = (text: string, lineWidth: number): string[] => {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' '))
    if (line !== '' && indent.length + line.length + 1 + word.length > lineWidth) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  return [...lines, line]
}

const textOf = (option: Option, lineWidth: number): string => {
  const { key, variable, flag, defaultValue, type, range, doc } = optionFacts(option)
  const name = key ?? flag?.split(' ')[0] ?? variable ?? ''
  const facts = [
    type,
    `default ${defaultValue}`,
    ...(range === undefined ? [] : [range]),
    ...(variable === undefined || variable === name ? [] : [variable]),
  ]
  const lines = [...wrap(doc.replaceAll('`', ''), lineWidth), ...wrap(facts.join('; '), lineWidth)]
  const [first, ...rest] = name.length > nameWidth ? ['', ...lines] : lines
  return [`  ${`${name.padEnd(nameWidth)}${first}`.trimEnd()}`, ...rest.map(line => `${indent}${line}`)].join(
    '\n',
  )
}

/** The reference of all options as plain text, for `confab serve --help`. */
export const configReference = (lineWidth = 120): string =>
  [
    'Configuration: keys of the YAML file (--config), each with its environment variable.',
    'Flags override environment variables, which override the file.',
    ...optionGroups.flatMap(({ title, options }) => [
      '',
      `${title}:`,
      ...Object.values(options).map(option => textOf(option, lineWidth)),
    ]),
    '',
  ].join('\n')
