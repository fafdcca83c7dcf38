import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseSync } from 'oxc-parser'

const maxChars = 120

/** Banned words, each with what to write instead. */
const banned: readonly (readonly [pattern: RegExp, instead: string])[] = [
  [
    /\b(whoever|whomever|whom|somebody|someone|nobody|anybody|anyone|no one)\b/i,
    'name the client, process or operator',
  ],
  [
    /\b(is|are|was|were|be|been|being) told\b|\b(tells?|hears?) (it|them|of|that|whether|its|the|each|every|all)\b/i,
    'sends, receives, is notified',
  ],
  [/\b(lets?|letting) go\b/i, 'releases, closes'],
  [/\b(is|are|was|were) had\b/i, 'name the verb'],
  [/\b(goes|go|going|went) on\b/i, 'continues'],
  [/\b(comes?|came|coming) (again|back|in|live)\b/i, 'reconnects, arrives, returns'],
  [/\bstands? (beside|still|there|in|for)\b/i, 'is, means'],
  [/\bof which\b/i, 'split the sentence'],
  [/\bmend(s|ed|ing)?\b/i, 'fix, repair'],
  [/\bstragglers?\b/i, 'slow consumer'],
  [/\bcohorts?\b/i, 'group'],
  [/\buntold\b/i, 'not delivered'],
  [/\bpatience\b/i, 'timeout'],
  [/\bkept server\b/i, 'supervisor'],
  [/\bcareful append\b/i, 'append with retry'],
]

/** Sentences that start with a relative clause in place of a subject. A question is fine. */
const badStart = /(?:^|[.:;] )(?:Who|Whose|What|That which|Those (?:who|that|of)) (?![^.?]*\?)/

/** Files that quote the banned words. Their lines may not be longer than others. */
const quotingFiles: ReadonlySet<string> = new Set([
  'docs/glossary.md',
  'scripts/check-language.ts',
  'test/docs/language.test.ts',
])
/** Names that keep a banned word: the option, as a key. */
const allowedPhrases = /\bpatience(?= *(?:option|:))/gi

export interface Finding {
  readonly path: string
  readonly line: number
  readonly text: string
}

const lineOf = (text: string, offset: number): number => text.slice(0, offset).split('\n').length

type Report = (line: number, text: string) => void

const checkWords = (report: Report, line: number, text: string, isProse: boolean): void => {
  const clean = text.replace(/`[^`]*`/g, '``').replace(allowedPhrases, '')
  for (const [pattern, instead] of banned) {
    const found = pattern.exec(clean)
    if (found !== null) report(line, `"${found[0]}": ${instead}`)
  }
  const start = isProse ? badStart.exec(clean) : null
  if (start !== null) report(line, `"${start[0].trim()} …": start with the subject`)
}

const checkLength = (report: Report, line: number, text: string): void => {
  if (text.length <= maxChars || /https?:\/\/\S{40,}/.test(text)) return
  report(line, `${text.length} characters, ${maxChars} allowed`)
}

/** The text of string literals and template parts, with offsets. */
const stringsOf = (node: unknown, found: { start: number; value: string }[] = []): typeof found => {
  if (Array.isArray(node)) for (const item of node) stringsOf(item, found)
  else if (typeof node === 'object' && node !== null) {
    const { type, value, start } = node as { type?: string; value?: unknown; start?: number }
    if (type === 'Literal' && typeof value === 'string') found.push({ start: start ?? 0, value })
    else if (type === 'TemplateElement')
      found.push({ start: start ?? 0, value: (value as { cooked?: string }).cooked ?? '' })
    else for (const item of Object.values(node)) stringsOf(item, found)
  }
  return found
}

const checkTypeScript = (report: Report, path: string, text: string, isQuoting: boolean): void => {
  const { comments, program } = parseSync(path, text)
  const lines = text.split('\n')
  for (const { start, end, value } of comments) {
    const first = lineOf(text, start)
    const last = lineOf(text, end)
    for (let line = first; line <= last; line++) {
      const whole = lines[line - 1] ?? ''
      // Code before a comment on the same line counts too: the line is what a reader sees.
      checkLength(report, line, whole)
    }
    const prose = value
      .replace(/^\s*\*? ?/gm, ' ')
      .replace(/\s+/g, ' ')
      .trim()
    if (!isQuoting) checkWords(report, first, prose, true)
  }
  if (isQuoting) return
  for (const { start, value } of stringsOf(program))
    if (/\S \S+ \S/.test(value)) checkWords(report, lineOf(text, start), value, false)
}

const checkMarkdown = (report: Report, text: string, isQuoting: boolean): void => {
  let isCode = false
  for (const [index, line] of text.split('\n').entries()) {
    if (/^\s*```/.test(line)) isCode = !isCode
    else if (!isCode) {
      if (!/^\s*\|/.test(line) && !/^\s*!?\[/.test(line)) checkLength(report, index + 1, line)
      if (!isQuoting) checkWords(report, index + 1, line.replace(/^[\s>*#-]+/, ''), true)
    }
  }
}

/** The comments of files that have no parser here: `#` in scripts and settings, else `//`, `/*` and `<!--`. */
const commentLine = (path: string): RegExp | undefined => {
  if (/\.(ya?ml|conf|sh)$|(^|\/)Dockerfile$|^\.ci\/run$/.test(path)) return /(?:^|\s)#(?!!)\s?(.*)$/
  if (/\.(css|proto|js|html)$/.test(path)) return /(?:^|\s)(?:\/\/|\/\*|<!--)\s(.*)$/
  return undefined
}

const checkLines = (report: Report, text: string, comment: RegExp): void => {
  for (const [index, line] of text.split('\n').entries()) {
    const prose = comment.exec(line)?.[1]
    if (prose === undefined) continue
    checkLength(report, index + 1, line)
    checkWords(report, index + 1, prose, true)
  }
}

/**
 * Checks the language of comments, of string literals in TypeScript, and of Markdown: docs/glossary.md has the rules.
 * Returns comment and Markdown lines over 120 characters (tables, URLs and code blocks excepted) and words that the
 * rules ban. Files of other kinds have no findings. `path` is relative to the root of the repository.
 */
export const checkLanguage = (path: string, text: string): Finding[] => {
  const findings: Finding[] = []
  const report: Report = (line, text) => findings.push({ path, line, text })
  const isQuoting = quotingFiles.has(path)
  if (path.endsWith('.ts')) checkTypeScript(report, path, text, isQuoting)
  else if (path.endsWith('.md')) checkMarkdown(report, text, isQuoting)
  else {
    const comment = commentLine(path)
    if (comment !== undefined) checkLines(report, text, comment)
  }
  return findings
}

/** Checks files and folders that the arguments name; all files of the repository when there are none. */
const main = (): void => {
  const root = join(import.meta.dirname, '..')
  const given = process.argv.slice(2)
  const paths = given.length > 0 ? given : ['.']
  const listed = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '--', ...paths], {
    cwd: root,
    encoding: 'utf8',
  })
  const findings = listed
    .split('\n')
    .filter(path => path !== '' && existsSync(join(root, path)))
    .flatMap(path => checkLanguage(path, readFileSync(join(root, path), 'utf8')))
  for (const { path, line, text } of findings) console.log(`${path}:${line}: ${text}`)
  if (findings.length > 0) {
    console.error(`${findings.length} findings: see docs/glossary.md`)
    process.exitCode = 1
  }
}

if (import.meta.main) main()
