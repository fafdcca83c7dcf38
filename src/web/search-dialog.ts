import { html } from 'htm/preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import type { AnswerOf, SearchHit } from '../events/index.ts'
import { Avatar } from './avatar.ts'
import type { Chat } from './chat.ts'
import { Dialog } from './dialog.ts'
import { formatBriefly, formatPrecisely } from './format.ts'
import { highlightPieces } from './highlight.ts'
import { nameOf } from './inbox.ts'
import { goTo } from './route.ts'

const pauseMs = 200

/** Searches messages in all conversations or in one, and scrolls to a hit. */
export const SearchDialog = ({ chat, c, onClose }: { chat: Chat; c?: string; onClose: () => void }) => {
  const [query, setQuery] = useState('')
  const [here, setHere] = useState(c !== undefined)
  const [found, setFound] = useState<AnswerOf['search'] | undefined>(undefined)
  const [problem, setProblem] = useState<string | undefined>(undefined)
  const turn = useRef(0)

  const search = async (cursor?: string): Promise<void> => {
    const mine = ++turn.current
    try {
      const answer = await chat.client.request('search', {
        q: query.trim(),
        limit: 30,
        ...(here && c !== undefined ? { c } : {}),
        ...(cursor === undefined ? {} : { cursor }),
      })
      if (mine !== turn.current) return
      setProblem(undefined)
      setFound(cursor === undefined ? answer : { ...answer, hits: [...(found?.hits ?? []), ...answer.hits] })
    } catch (error) {
      if (mine === turn.current) setProblem(error instanceof Error ? error.message : String(error))
    }
  }
  useEffect(() => {
    turn.current++
    if (query.trim() === '') {
      setFound(undefined)
      return
    }
    const timer = setTimeout(() => void search(), pauseMs)
    return () => clearTimeout(timer)
  }, [query, here])

  const open = (hit: SearchHit): void => {
    onClose()
    goTo(hit.c)
    // The address change takes effect a moment later; the conversation has to be open now.
    chat.open(hit.c)
    if (chat.room !== undefined) void chat.attempt(chat.room.jump(hit.m))
  }

  return html`
    <${Dialog} title="Search" class="dialog-search" onClose=${onClose}>
      <div class="search-form" role="search">
        <input
          type="search"
          aria-label="Search messages"
          placeholder='Words, or "a phrase"'
          maxlength="256"
          dir="auto"
          autofocus
          value=${query}
          onInput=${(event: InputEvent) => setQuery((event.target as HTMLInputElement).value)}
          onKeyDown=${(event: KeyboardEvent) => {
            if (event.key !== 'ArrowDown') return
            event.preventDefault()
            document.querySelector<HTMLElement>('.hit')?.focus()
          }}
        />
        ${
          c !== undefined &&
          html`
            <label class="check">
              <input type="checkbox" checked=${here} onChange=${() => setHere(!here)} /> Only in this conversation
            </label>
          `
        }
      </div>
      <p class="search-state muted" role="status">${problem ?? stateOf(query, found)}</p>
      <ul role="list" class="hits" onKeyDown=${moveFocus}>
        ${found?.hits.map(hit => html`<li key=${`${hit.c} ${hit.seq}`}><${Hit} chat=${chat} hit=${hit} onOpen=${open} /></li>`)}
      </ul>
      ${
        found?.cursor !== undefined &&
        html`<button type="button" class="quiet more" onClick=${() => void search(found.cursor)}>Show more</button>`
      }
    <//>
  `
}

const stateOf = (query: string, found: AnswerOf['search'] | undefined): string => {
  if (query.trim() === '') return 'Finds messages of all your conversations, the newest first.'
  if (found === undefined) return 'Searching …'
  if (found.hits.length === 0) return found.cursor === undefined ? 'Nothing found.' : 'Nothing found so far.'
  return found.hits.length === 1
    ? '1 message'
    : `${found.hits.length}${found.cursor === undefined ? '' : '+'} messages`
}

const Hit = ({ chat, hit, onOpen }: { chat: Chat; hit: SearchHit; onOpen: (hit: SearchHit) => void }) => {
  const item = chat.inbox.get(hit.c)
  return html`
    <button type="button" class="hit" onClick=${() => onOpen(hit)}>
      <${Avatar} id=${hit.from} size="small" />
      <span class="hit-head">
        <b dir="auto">${hit.from}</b> <span class="muted" dir="auto">${item === undefined ? hit.c : nameOf(item)}</span>
        <time class="muted" datetime=${hit.at} title=${formatPrecisely(hit.at)}>${formatBriefly(hit.at)}</time>
      </span>
      <span class="hit-text" dir="auto">
        ${highlightPieces(hit.highlight).map(piece => (piece.marked ? html`<mark>${piece.text}</mark>` : piece.text))}
      </span>
    </button>
  `
}

const moveFocus = (event: KeyboardEvent): void => {
  const hits = [...(event.currentTarget as HTMLElement).querySelectorAll<HTMLElement>('.hit')]
  const at = hits.indexOf(document.activeElement as HTMLElement)
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
  if (step === undefined || at < 0) return
  event.preventDefault()
  if (at + step < 0) document.querySelector<HTMLElement>('.search-form input')?.focus()
  else hits[at + step]?.focus()
}
