import { useCallback, useLayoutEffect, useRef, useState } from 'preact/hooks'
import type { Room } from './room.ts'

/** This close to the end counts as being there, px. */
const endPx = 48
/** This close to an end of what is loaded, more is fetched, px. */
const aheadPx = 800

export interface Scroll {
  readonly box: { current: HTMLDivElement | null }
  /** Whether the last message is in view. */
  readonly atEnd: boolean
  readonly onScroll: () => void
  readonly toEnd: () => void
}

/** Where the timeline stood when it was last looked at. */
interface Place {
  placed: boolean
  atEnd: boolean
  scrollTop: number
  /** px under what is in view. */
  below: number
  /** The first row in view, and how far under the top it began, px. */
  anchor?: { element: Element; top: number }
}

/**
 * Keeps the timeline where it is while messages come and go: at its end when it was there, else the message at the top stays where it was. On the first render
 * it goes to where the unread begins, or to the end; then to `room.target` whenever there is one.
 */
export const useScroll = (
  room: Room,
  onLook: (lastSeen: number) => void,
  load: (what: 'older' | 'newer') => void,
): Scroll => {
  const box = useRef<HTMLDivElement>(null)
  const state = useRef<Place>({ placed: false, atEnd: true, scrollTop: 0, below: 0 })
  const [atEnd, setAtEnd] = useState(true)

  /** Takes in where it stands: the anchor, the end, what has been seen, what to load. */
  const look = useCallback(() => {
    const element = box.current
    if (element === null || !state.current.placed) return
    const rows = [...element.querySelectorAll('[data-seq]')]
    const { top, bottom } = element.getBoundingClientRect()
    const first = rows.find(row => row.getBoundingClientRect().bottom > top)
    if (first !== undefined)
      state.current.anchor = { element: first, top: first.getBoundingClientRect().top - top }
    const below = element.scrollHeight - element.scrollTop - element.clientHeight
    state.current.atEnd = below < endPx && !room.newer
    state.current.scrollTop = element.scrollTop
    state.current.below = below
    setAtEnd(state.current.atEnd)
    const seen = rows.findLast(row => row.getBoundingClientRect().top < bottom - 8)
    if (seen !== undefined) onLook(Number(seen.getAttribute('data-seq')))
    if (element.scrollTop < aheadPx && room.older) load('older')
    if (below < aheadPx && room.newer) load('newer')
  }, [room, onLook, load])

  const settle = useCallback(() => {
    const element = box.current
    if (element === null || !room.loaded) return
    const { top } = element.getBoundingClientRect()
    const target = room.target === undefined ? null : element.querySelector(`[data-m="${room.target}"]`)
    const { placed, anchor } = state.current
    // A render may come between the user's scrolling and the word of it.
    const moved = placed ? element.scrollTop - state.current.scrollTop : 0
    if (moved !== 0) state.current.atEnd = state.current.below - moved < endPx && !room.newer
    if (anchor !== undefined) anchor.top -= moved
    if (target !== null) {
      room.target = undefined
      state.current.atEnd = false
      target.scrollIntoView({ block: 'center' })
      if (target instanceof HTMLElement) target.focus({ preventScroll: true })
      flash(target)
    } else if (!placed) {
      element.scrollTop = element.scrollHeight
      const unread = element.querySelector('[data-unread-line]')
      if (unread !== null) {
        const above = unread.getBoundingClientRect().top - top - element.clientHeight / 4
        if (above < 0) element.scrollTop += above
      }
    } else if (state.current.atEnd && !room.newer) element.scrollTop = element.scrollHeight
    else if (anchor?.element.isConnected)
      element.scrollTop += anchor.element.getBoundingClientRect().top - top - anchor.top
    state.current.placed = true
    look()
  }, [room, look])

  useLayoutEffect(settle)
  useLayoutEffect(() => {
    const element = box.current
    if (element === null) return
    const observer = new ResizeObserver(settle)
    observer.observe(element)
    return () => observer.disconnect()
  }, [settle])

  const toEnd = useCallback(() => {
    state.current.atEnd = true
    settle()
  }, [settle])

  return { box, atEnd, onScroll: look, toEnd }
}

const flash = (element: Element): void => {
  element.classList.remove('flash')
  requestAnimationFrame(() => element.classList.add('flash'))
  element.addEventListener('animationend', () => element.classList.remove('flash'), { once: true })
}
