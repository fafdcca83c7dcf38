import { useCallback, useLayoutEffect, useRef, useState } from 'preact/hooks'
import type { Room } from './room.ts'

/** Distance to the end that counts as the end, px. */
const endPx = 48
/** Distance to an end of the loaded range at which more is loaded, px. */
const aheadPx = 800

export interface Scroll {
  readonly box: { current: HTMLDivElement | null }
  /** Whether the last message is visible. */
  readonly atEnd: boolean
  readonly onScroll: () => void
}

/** Whether there are rows beyond the document's, loaded or not. */
export interface Beyond {
  readonly older: boolean
  readonly newer: boolean
}

/** The last known scroll position of the timeline. */
interface Place {
  placed: boolean
  atEnd: boolean
  scrollTop: number
  /** px below the visible area. */
  below: number
  /** The first visible row and its offset from the top, px. */
  anchor?: { element: Element; top: number }
}

/**
 * Keeps the timeline's position while rows change: at the end if it was there, else the top row stays in place. The
 * first render scrolls to the first unread message or to the end; later ones to `room.target`, or to the end when the
 * room wants it. Only the timeline scrolls, never the document. `onEdge` is called near an end with rows beyond it.
 */
export const useScroll = (
  room: Room,
  beyond: Beyond,
  onLook: (lastSeen: number) => void,
  onEdge: (edge: 'top' | 'bottom') => void,
): Scroll => {
  const box = useRef<HTMLDivElement>(null)
  const state = useRef<Place>({ placed: false, atEnd: true, scrollTop: 0, below: 0 })
  const latest = useRef(beyond)
  latest.current = beyond
  const [atEnd, setAtEnd] = useState(true)

  /** Records the position: anchor, end, seen messages, and ranges to load. */
  const look = useCallback(() => {
    const element = box.current
    if (element === null || !state.current.placed) return
    const { older, newer } = latest.current
    const rows = element.querySelectorAll('[data-seq]')
    const { top, bottom } = element.getBoundingClientRect()
    const first = rows[firstIndex(rows, row => row.getBoundingClientRect().bottom > top)]
    if (first !== undefined)
      state.current.anchor = { element: first, top: first.getBoundingClientRect().top - top }
    const below = element.scrollHeight - element.scrollTop - element.clientHeight
    state.current.atEnd = below < endPx && !newer
    state.current.scrollTop = element.scrollTop
    state.current.below = below
    setAtEnd(state.current.atEnd)
    const seen = rows[firstIndex(rows, row => row.getBoundingClientRect().top >= bottom - 8) - 1]
    if (seen !== undefined) onLook(Number(seen.getAttribute('data-seq')))
    if (element.scrollTop < aheadPx && older) onEdge('top')
    else if (below < aheadPx && newer) onEdge('bottom')
  }, [room, onLook, onEdge])

  const settle = useCallback(() => {
    const element = box.current
    if (element === null || !room.loaded) return
    const { top } = element.getBoundingClientRect()
    const target = room.target === undefined ? null : element.querySelector(`[data-m="${room.target}"]`)
    const { placed, anchor } = state.current
    // A render may run between the user's scrolling and its event.
    const moved = placed ? element.scrollTop - state.current.scrollTop : 0
    if (moved !== 0) state.current.atEnd = state.current.below - moved < endPx && !latest.current.newer
    if (anchor !== undefined) anchor.top -= moved
    if (target !== null) {
      room.target = undefined
      state.current.atEnd = false
      // Not scrollIntoView, which also scrolls the document.
      const { top: targetTop, height } = target.getBoundingClientRect()
      element.scrollTop += targetTop - top - Math.max(0, element.clientHeight - height) / 2
      if (target instanceof HTMLElement) target.focus({ preventScroll: true })
      flash(target)
    } else if (!placed) {
      element.scrollTop = element.scrollHeight
      const unread = element.querySelector('[data-unread-line]')
      if (unread !== null) {
        const above = unread.getBoundingClientRect().top - top - element.clientHeight / 4
        if (above < 0) element.scrollTop += above
      }
    } else if ((state.current.atEnd || room.wantsEnd) && !latest.current.newer)
      element.scrollTop = element.scrollHeight
    else if (anchor?.element.isConnected)
      element.scrollTop += anchor.element.getBoundingClientRect().top - top - anchor.top
    if (!latest.current.newer) room.wantsEnd = false
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

  return { box, atEnd, onScroll: look }
}

/** Returns the first index whose row passes; all rows after it pass too. */
const firstIndex = (rows: NodeListOf<Element>, passes: (row: Element) => boolean): number => {
  let from = 0
  let to = rows.length
  while (from < to) {
    const middle = (from + to) >> 1
    if (passes(rows[middle]!)) to = middle
    else from = middle + 1
  }
  return from
}

const flash = (element: Element): void => {
  element.classList.remove('flash')
  requestAnimationFrame(() => element.classList.add('flash'))
  element.addEventListener('animationend', () => element.classList.remove('flash'), { once: true })
}
