const lineWidth = 120

/** A paragraph, broken into lines of at most 120 characters. */
export const paragraph = (text: string): string => {
  const lines: string[] = []
  let line = ''
  // A link or a code span stays on one line.
  for (const word of text.match(/(?:\[[^\]]*\]\([^)]*\)|`[^`]*`|\S)+/g) ?? []) {
    if (line !== '' && line.length + 1 + word.length > lineWidth) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line].join('\n')
}

/** A table. Cells keep their Markdown; a `|` in a cell is escaped. */
export const table = (head: readonly string[], rows: readonly (readonly string[])[]): string => {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`.replace(/ +\|/g, ' |')
  return [line(head), `|${' --- |'.repeat(head.length)}`, ...rows.map(line)].join('\n')
}

/** Number with thousands separators. */
export const grouped = (value: number): string => value.toLocaleString('en')

/** JSON on one line where it fits; else one property per line, or several when all are short. */
export const formatJson = (value: unknown, width = 100): string => {
  const write = (value: unknown, indent: number): string => {
    const inline = writeInline(value)
    if (typeof value !== 'object' || value === null || indent + inline.length <= width) return inline
    const pad = ' '.repeat(indent + 2)
    const isList = Array.isArray(value)
    const entries = isList
      ? value.map(item => write(item, indent + 2))
      : Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}: ${write(item, indent + 2)}`)
    const isShort = entries.length > 4 && entries.every(entry => entry.length < 60 && !entry.includes('\n'))
    const lines = isShort ? fill(entries, width - indent - 2) : entries
    const body = lines.map(line => pad + line).join(',\n')
    return isList ? `[\n${body}\n${' '.repeat(indent)}]` : `{\n${body}\n${' '.repeat(indent)}}`
  }
  return write(value, 0)
}

const writeInline = (value: unknown): string => {
  if (Array.isArray(value)) return `[${value.map(writeInline).join(', ')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const entries = Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}: ${writeInline(item)}`)
  return entries.length === 0 ? '{}' : `{ ${entries.join(', ')} }`
}

const fill = (entries: readonly string[], width: number): string[] => {
  const lines: string[] = []
  for (const entry of entries) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + 2 + entry.length <= width)
      lines[lines.length - 1] = `${last}, ${entry}`
    else lines.push(entry)
  }
  return lines
}

export const json = (...values: readonly unknown[]): string =>
  ['```json', ...values.map(value => formatJson(value)), '```'].join('\n')
