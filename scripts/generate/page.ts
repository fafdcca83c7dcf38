/** A page of docs/ that is generated from the code. */
export interface GeneratedPage {
  /** Relative to the root of the repository. */
  readonly path: string
  /** Returns the whole page. */
  readonly generate: () => string | Promise<string>
}

/** Returns a Markdown table with aligned columns; the last column is not padded. */
export const markdownTable = (titles: readonly string[], rows: readonly (readonly string[])[]): string => {
  const cells = rows.map(row => row.map(cell => cell.replaceAll('|', '\\|')))
  const widths = titles.map((title, column) =>
    Math.max(title.length, ...cells.map(row => row[column]?.length ?? 0)),
  )
  const last = titles.length - 1
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => (column === last ? cell : cell.padEnd(widths[column]!))).join(' | ')} |`
  const rule = titles.map((title, column) => '-'.repeat(column === last ? title.length : widths[column]!))
  return `${[line(titles), line(rule), ...cells.map(line)].join('\n')}\n`
}
