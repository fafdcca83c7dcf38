import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseSync } from 'oxc-parser'

/**
 * Checks the language of comments, string literals and Markdown: docs/glossary.md has the rules. Reports comment and Markdown
 * lines over 120 characters (tables, URLs and code blocks excepted) and words that the rules ban. Arguments are files or folders; default all.
 */
const root = join(import.meta.dirname, '..')
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

/** Quotations of the banned words: files that explain the rules, and phrases with another meaning. */
const allowedFiles: ReadonlySet<string> = new Set([
  'docs/glossary.md',
  'scripts/check-language.ts',
  'CHANGELOG.md',
])
const allowedPhrases = /\bpatience(?= *(?:option|:))/i

interface Finding {
  readonly path: string
  readonly line: number
  readonly text: string
}

const findings: Finding[] = []

const lineOf = (text: string, offset: number): number => text.slice(0, offset).split('\n').length

const checkWords = (path: string, line: number, text: string, isProse: boolean): void => {
  const clean = text.replace(/`[^`]*`/g, '``')
  for (const [pattern, instead] of banned) {
    const found = pattern.exec(clean)
    if (found !== null && !allowedPhrases.test(clean))
      findings.push({ path, line, text: `"${found[0]}": ${instead}` })
  }
  const start = isProse ? badStart.exec(clean) : null
  if (start !== null) findings.push({ path, line, text: `"${start[0].trim()} …": start with the subject` })
}

const checkLength = (path: string, line: number, text: string): void => {
  if (text.length <= maxChars || /https?:\/\/\S{40,}/.test(text)) return
  findings.push({ path, line, text: `${text.length} characters, ${maxChars} allowed` })
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

const checkTypeScript = (path: string, text: string): void => {
  const { comments, program } = parseSync(path, text)
  const lines = text.split('\n')
  for (const { start, end, value } of comments) {
    const first = lineOf(text, start)
    const last = lineOf(text, end)
    for (let line = first; line <= last; line++) {
      const whole = lines[line - 1] ?? ''
      // Code before a comment on the same line counts too: the line is what a reader sees.
      checkLength(path, line, whole)
    }
    const prose = value
      .replace(/^\s*\*? ?/gm, ' ')
      .replace(/\s+/g, ' ')
      .trim()
    checkWords(path, first, prose, true)
  }
  for (const { start, value } of stringsOf(program))
    if (/\S \S+ \S/.test(value)) checkWords(path, lineOf(text, start), value, false)
}

const checkMarkdown = (path: string, text: string): void => {
  let isCode = false
  for (const [index, line] of text.split('\n').entries()) {
    if (/^\s*```/.test(line)) isCode = !isCode
    else if (!isCode) {
      if (!/^\s*\|/.test(line) && !/^\s*!?\[/.test(line)) checkLength(path, index + 1, line)
      checkWords(path, index + 1, line.replace(/^[\s>*#-]+/, ''), true)
    }
  }
}

const given = process.argv.slice(2)
const listed = execFileSync(
  'git',
  ['ls-files', '-co', '--exclude-standard', '--', ...(given.length > 0 ? given : ['.'])],
  {
    cwd: root,
    encoding: 'utf8',
  },
).split('\n')
for (const path of listed) {
  if (allowedFiles.has(path)) continue
  const check = path.endsWith('.ts') ? checkTypeScript : path.endsWith('.md') ? checkMarkdown : undefined
  check?.(path, readFileSync(join(root, path), 'utf8'))
}
for (const { path, line, text } of findings) console.log(`${path}:${line}: ${text}`)
if (findings.length > 0) {
  console.error(`${findings.length} findings: see docs/glossary.md`)
  process.exitCode = 1
}
