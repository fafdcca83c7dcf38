import { html } from 'htm/preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { Avatar } from '../avatar.ts'
import { Icon, type IconName } from '../icons.ts'
import type { Call } from './call.ts'

/** The call: the peer's picture in full size, the own picture in a corner, and the controls. */
export const CallStage = ({ call }: { call: Call }) => html`
  <main class="stage" data-phase=${call.phase} aria-label=${`Call with ${call.peer}`}>
    ${
      call.phase === 'talking'
        ? html`<${Video} class="remote" stream=${call.remote} label=${call.peer} />`
        : html`<span class="pulse"><${Avatar} id=${call.peer} /></span>`
    }
    <header class="stage-header">
      <h1>${call.peer}</h1>
      <p role="status"><${Status} call=${call} /></p>
    </header>
    <${Video} class="local" stream=${call.local} label="You" muted hidden=${!call.isOn('video')} />
    <footer class="stage-controls">
      <${Toggle} call=${call} kind="audio" icon="mic" label="Microphone" />
      <${Toggle} call=${call} kind="video" icon="camera" label="Camera" />
      <button type="button" class="round hang-up" aria-label="Hang up" title="Hang up" onClick=${() => call.hangUp()}>
        <${Icon} name="hang-up" />
      </button>
    </footer>
  </main>
`

const Status = ({ call }: { call: Call }) => {
  const [, tick] = useState(0)
  useEffect(() => {
    const timer = setInterval(() => tick(n => n + 1), 1_000)
    return () => clearInterval(timer)
  }, [])
  if (call.isShaky) return 'connection lost, reconnecting'
  if (call.phase === 'calling') return 'calling …'
  if (call.phase === 'connecting') return 'connecting …'
  return formatLength(Date.now() - call.since)
}

/** `1:02:03` */
const formatLength = (ms: number): string => {
  const seconds = Math.max(0, Math.floor(ms / 1_000))
  const parts = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60, seconds % 60]
  if (parts[0] === 0) parts.shift()
  return parts.map((part, n) => (n === 0 ? String(part) : String(part).padStart(2, '0'))).join(':')
}

const Toggle = (props: { call: Call; kind: 'audio' | 'video'; icon: IconName; label: string }) => {
  const { call, kind, icon, label } = props
  const isOn = call.isOn(kind)
  return html`
    <button
      type="button"
      class="round"
      aria-label=${label}
      title=${`${label} ${isOn ? 'off' : 'on'}`}
      aria-pressed=${isOn}
      onClick=${() => call.turn(kind, !isOn)}
    >
      <${Icon} name=${icon} />
    </button>
  `
}

const Video = (props: {
  class: string
  stream: MediaStream | undefined
  label: string
  muted?: boolean
  hidden?: boolean
}) => {
  const ref = useRef<HTMLVideoElement>(null)
  useEffect(() => {
    if (ref.current !== null) ref.current.srcObject = props.stream ?? null
  }, [props.stream])
  return html`
    <video
      ref=${ref}
      class=${props.class}
      aria-label=${props.label}
      autoplay
      playsinline
      muted=${props.muted}
      hidden=${props.hidden}
    />
  `
}
