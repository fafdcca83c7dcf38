import MarkdownIt, { type StateInline, type Token } from 'markdown-it'
import { type ComponentChild, h } from 'preact'
import { linkLength } from './links.ts'

/** Elements that a message may contain. All others are shown as their content. */
const elements: ReadonlySet<string> = new Set([
  'a',
  'blockquote',
  'code',
  'em',
  'li',
  'ol',
  'p',
  'pre',
  's',
  'strong',
  'ul',
])

const safeLink = /^(?:https?|mailto):/i

/**
 * Markdown as chats use it: emphasis, code, quotes, lists and links. No headings, tables, images or HTML. Line breaks
 * stay line breaks.
 */
const parser = new MarkdownIt('zero').enable([
  'fence',
  'blockquote',
  'list',
  'newline',
  'escape',
  'backticks',
  'strikethrough',
  'emphasis',
  'link',
  'autolink',
  'balance_pairs',
  'fragments_join',
])
parser.validateLink = url => safeLink.test(url)
parser.inline.ruler.push('bare_link', (state, silent) => !silent && bareLink(state))

/** Makes a link of a plain http(s) URL. Called at its colon, with the scheme in `pending`. */
const bareLink = (state: StateInline): boolean => {
  if (state.linkLevel > 0 || !state.src.startsWith('://', state.pos)) return false
  // Not from `pending`, which holds the text so far in many pieces: each read would join them.
  const scheme = /https?$/i.exec(state.src.slice(Math.max(0, state.pos - 5), state.pos))?.[0]
  if (scheme === undefined) return false
  const isAtStart = state.pending.length <= scheme.length
  if (!isAtStart && /[\w+.-]/.test(state.src[state.pos - scheme.length - 1] ?? '')) return false
  const start = state.pos - scheme.length
  if (start < Number(state.env.noLinkBefore ?? 0)) return false
  const length = linkLength(state.src, start)
  if (length === 0) {
    // Not tried again at each colon of the same word: that would take quadratic time.
    const word = /\S*/y
    word.lastIndex = start
    word.exec(state.src)
    state.env.noLinkBefore = word.lastIndex
    return false
  }
  const href = state.src.slice(start, start + length)
  state.pending = state.pending.slice(0, -scheme.length)
  state.push('link_open', 'a', 1).attrSet('href', href)
  state.push('text', '', 0).content = href
  state.push('link_close', 'a', -1)
  state.pos = start + length
  return true
}

/**
 * Returns the content of a message as elements of the page; HTML in the text stays text. A text that is nothing but
 * Markdown signs is returned as it is. Runs in time that is linear in the text.
 */
export const renderMarkdown = (text: string): ComponentChild[] => {
  const tokens = parser.parse(text, {})
  // A single paragraph needs no element.
  const [first, inline, last] = tokens
  if (tokens.length === 3 && first?.type === 'paragraph_open' && last?.type === 'paragraph_close')
    tokens.splice(0, 3, inline!)
  const content = toElements(tokens)
  return hasText(tokens) ? content : [text]
}

const hasText = (tokens: readonly Token[]): boolean =>
  tokens.some(({ children, content }) => (children === null ? content.trim() !== '' : hasText(children)))

/** Builds the elements from a list of tokens, in which opening and closing tokens are balanced. */
const toElements = (tokens: readonly Token[]): ComponentChild[] => {
  const stack: { open: Token | undefined; children: ComponentChild[] }[] = [{ open: undefined, children: [] }]
  for (const token of tokens) {
    const { children } = stack.at(-1)!
    if (token.nesting === 1) stack.push({ open: token, children: [] })
    else if (token.nesting === -1) {
      const { open, children: content } = stack.pop()!
      stack.at(-1)!.children.push(...elementOf(open!, content, stack.length === 1))
    } else if (token.type === 'inline') children.push(...toElements(token.children ?? []))
    else if (token.type === 'softbreak' || token.type === 'hardbreak') children.push('\n')
    else if (token.type === 'code_inline') children.push(h('code', null, token.content))
    else if (token.type === 'fence')
      children.push(h('pre', { dir: 'auto' }, h('code', null, token.content.replace(/\n$/, ''))))
    else children.push(token.content)
  }
  return stack[0]!.children
}

const elementOf = (open: Token, children: ComponentChild[], isOuter: boolean): ComponentChild[] => {
  const { tag, hidden } = open
  if (hidden || !elements.has(tag)) return children
  if (tag === 'a') {
    const href = String(open.attrGet('href') ?? '')
    if (!safeLink.test(href)) return children
    // The title shows the target of a link with a text of its own.
    return [h('a', { href, title: href, target: '_blank', rel: 'noopener noreferrer' }, children)]
  }
  const start = open.attrGet('start')
  const attributes = {
    // The first letter decides on which side a block starts. The style sheet handles the lines in it.
    ...(isOuter && open.block ? { dir: 'auto' } : {}),
    ...(tag === 'ol' && start !== null ? { start: Number(start) } : {}),
  }
  return [h(tag, attributes, children)]
}
