import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import t from 'tap'
import * as protocol from '../../scripts/generate/protocol.ts'

const root = join(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

t.test('docs/protocol.md is up to date: `npx node scripts/generate-docs.ts` writes it', async t => {
  t.equal(read(protocol.path), protocol.generate())
})

const pages = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '--', '*.md'], {
  cwd: root,
  encoding: 'utf8',
})
  .split('\n')
  .filter(path => path !== '' && existsSync(join(root, path)))

/** Text of a page without code blocks and code spans. */
const proseOf = (text: string): string => text.replace(/^\s*```.*?^\s*```/gms, '').replace(/`[^`\n]*`/g, '``')

/** Anchors of a page's headings, as GitHub makes them. */
const anchorsOf = (text: string): Set<string> => {
  const anchors = new Set<string>()
  const headings = text.replace(/^\s*```.*?^\s*```/gms, '').matchAll(/^#{1,6} +(.+)$/gm)
  for (const [, heading = ''] of headings) {
    const anchor = heading
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .trim()
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\-_ ]/gu, '')
      .replaceAll(' ', '-')
    let unique = anchor
    for (let n = 1; anchors.has(unique); n++) unique = `${anchor}-${n}`
    anchors.add(unique)
  }
  return anchors
}

const anchors = new Map(pages.map(path => [path, anchorsOf(read(path))]))

/** Why a link of a page does not resolve; undefined when it does. */
const problemOf = (page: string, link: string): string | undefined => {
  const [path = '', anchor] = link.split('#')
  const target = path === '' ? page : relative(root, join(root, dirname(page), decodeURIComponent(path)))
  if (!existsSync(join(root, target))) return `${page}: ${link}: no such file`
  const isKnown = anchor === undefined || (anchors.get(target)?.has(anchor) ?? !target.endsWith('.md'))
  return isKnown ? undefined : `${page}: ${link}: no such heading`
}

t.test('relative links between pages lead to files and headings that exist', async t => {
  const problems: string[] = []
  let links = 0
  for (const page of pages)
    for (const [, link = ''] of proseOf(read(page)).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z][a-z0-9+.-]*:/.test(link)) continue
      links++
      const problem = problemOf(page, link)
      if (problem !== undefined) problems.push(problem)
    }
  t.same(problems, [])
  t.ok(links > 100, `${links} links`)
})

t.test('docs/README.md links every page of docs', async t => {
  const linked = new Set(
    [...read('docs/README.md').matchAll(/\]\(([^)#]+)\)/g)].map(([, link]) =>
      relative(root, join(root, 'docs', link!)),
    ),
  )
  const missing = pages.filter(
    page =>
      page.startsWith('docs/') &&
      !page.startsWith('docs/adr/0') &&
      page !== 'docs/README.md' &&
      !linked.has(page),
  )
  t.same(missing, [])
})
