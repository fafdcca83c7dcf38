import { html } from 'htm/preact'
import type { Presence } from '../events/index.ts'
import { hueOf, initialsOf } from './format.ts'
import { Icon } from './icons.ts'

/** Initials on a hue derived from the id. Decorative: the name is next to it. */
export const Avatar = (props: {
  id: string
  name?: string
  size?: 'tiny' | 'small' | 'medium'
  presence?: Presence | undefined
  channel?: boolean
}) => {
  const { id, name = id, size = 'medium', presence, channel = false } = props
  return html`
    <span
      class=${`avatar avatar-${size} ${channel ? 'avatar-channel' : ''}`}
      style=${{ '--hue': String(hueOf(id)) }}
      aria-hidden="true"
    >
      ${channel ? html`<${Icon} name="hash" />` : size === 'tiny' ? initialsOf(name).slice(0, 1) : initialsOf(name)}
      ${presence !== undefined && presence !== 'offline' && html`<span class=${`presence presence-${presence}`} />`}
    </span>
  `
}
