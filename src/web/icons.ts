import { html } from 'htm/preact'

/** Paths on a grid of 24, by name. */
const paths = {
  search: 'M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16.2 16.2 20.5 20.5',
  plus: 'M12 5v14M5 12h14',
  back: 'M15 5l-7 7 7 7',
  people:
    'M9 5.5a3.2 3.2 0 1 0 0 6.4 3.2 3.2 0 0 0 0-6.4zM3.5 19c0-3 2.4-4.8 5.5-4.8s5.5 1.8 5.5 4.8M15.5 5.8a3.1 3.1 0 0 1 0 5.9M17 14.5c2.2.5 3.6 2.1 3.6 4.5',
  send: 'M12 19V5.5M6 11l6-6 6 6',
  reply: 'M9.5 6 4.5 11l5 5M5 11h8.5c3.6 0 6 2.2 6 6.5',
  smile:
    'M12 3.8a8.2 8.2 0 1 0 0 16.4 8.2 8.2 0 0 0 0-16.4zM8.7 14.2c.7 1.2 1.9 1.9 3.3 1.9s2.6-.7 3.3-1.9M9.3 9.7v.1M14.7 9.7v.1',
  pencil: 'M5 19l.8-3.7L16.3 4.8a1.6 1.6 0 0 1 2.3 0l.6.6a1.6 1.6 0 0 1 0 2.3L8.7 18.2z',
  trash: 'M5 7h14M10 7V4.8h4V7M7 7l.8 12.2h8.4L17 7M10.3 10.5v5.5M13.7 10.5v5.5',
  clip: 'M19 11.5l-7.3 7.3a4.6 4.6 0 0 1-6.5-6.5l7.9-7.9a3.1 3.1 0 0 1 4.4 4.4l-7.9 7.9a1.5 1.5 0 0 1-2.2-2.2l7.2-7.1',
  file: 'M7 3.8h6.2L18 8.6v10.1a1.5 1.5 0 0 1-1.5 1.5H7.5A1.5 1.5 0 0 1 6 18.7V4.8a1 1 0 0 1 1-1zM13 4v4.8h4.8',
  close: 'M6.5 6.5l11 11M17.5 6.5l-11 11',
  down: 'M12 5v13.5M6 13l6 6 6-6',
  retry: 'M19 12a7 7 0 1 1-2.3-5.2M19 4v4.2h-4.2',
  leave: 'M10 5H6.5A1.5 1.5 0 0 0 5 6.5v11A1.5 1.5 0 0 0 6.5 19H10M15 8l4 4-4 4M19 12H9.5',
  devices:
    'M4.5 6.5A1.5 1.5 0 0 1 6 5h11a1.5 1.5 0 0 1 1.5 1.5V8M12.5 15.5H4.5v-9M3 18.5h9.5M15.5 10.5h4a1 1 0 0 1 1 1v7a1 1 0 0 1-1 1h-4a1 1 0 0 1-1-1v-7a1 1 0 0 1 1-1z',
  check: 'M5 12.5l4.5 4.5L19 7.5',
  hash: 'M9.5 4.5 8 19.5M16 4.5l-1.5 15M4.8 9.2h15M4.2 14.8h15',
  bell: 'M6 16.5V11a6 6 0 0 1 12 0v5.5l1.5 1.5h-15zM10 20.2a2.2 2.2 0 0 0 4 0',
  'bell-off':
    'M6 16.5V11c0-1 .25-2 .7-2.8M9 5.8A6 6 0 0 1 18 11v4.5M16.5 18H4.5L6 16.5M10 20.2a2.2 2.2 0 0 0 4 0M4 4l16.5 16.5',
  phone:
    'M6.2 4.5h2.6l1.4 3.8-1.9 1.4a11 11 0 0 0 5 5l1.4-1.9 3.8 1.4v2.6a1.7 1.7 0 0 1-1.8 1.7C10.2 18 6 13.8 4.5 6.3A1.7 1.7 0 0 1 6.2 4.5z',
  'hang-up':
    'M3.6 14.6l.4-2.3c2.5-2.2 5.2-3 8-3s5.5.8 8 3l.4 2.3-3.6 1-1.6-2.7a10.5 10.5 0 0 0-6.4 0l-1.6 2.7z',
  mic: 'M12 4a2.6 2.6 0 0 0-2.6 2.6v4.8a2.6 2.6 0 0 0 5.2 0V6.6A2.6 2.6 0 0 0 12 4zM6 11.5a6 6 0 0 0 12 0M12 17.5V20',
  camera:
    'M4.5 7.5A1.5 1.5 0 0 1 6 6h7.5A1.5 1.5 0 0 1 15 7.5v9a1.5 1.5 0 0 1-1.5 1.5H6a1.5 1.5 0 0 1-1.5-1.5zM15 11l4.5-3v8L15 13z',
  archive: 'M4 5h16v4H4zM5.5 9v9A1.5 1.5 0 0 0 7 19.5h10a1.5 1.5 0 0 0 1.5-1.5V9M10 13h4',
  shield: 'M12 3.5l7 2.8v5.2c0 4.3-2.9 7.4-7 9-4.1-1.6-7-4.7-7-9V6.3z',
  ban: 'M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM6.4 6.4l11.2 11.2',
  bubbles:
    'M4 6.5A2.5 2.5 0 0 1 6.5 4h8A2.5 2.5 0 0 1 17 6.5v4a2.5 2.5 0 0 1-2.5 2.5H9l-3.5 3v-3.2A2.5 2.5 0 0 1 4 10.5zM10 16.2c.3 1 1.2 1.8 2.4 1.8h3.4l2.7 2.3V18A2.3 2.3 0 0 0 20.5 15.7v-3.4c0-1-.6-1.9-1.5-2.2',
} as const

export type IconName = keyof typeof paths

/** Decorative: the control has a text of its own. */
export const Icon = ({ name }: { name: IconName }) => html`
  <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
    <path d=${paths[name]} />
  </svg>
`

export const IconButton = (props: {
  name: IconName
  label: string
  onClick: (event: MouseEvent) => void
  class?: string
  [attribute: `aria-${string}`]: unknown
}) => {
  const { name, label, class: extra = '', ...rest } = props
  return html`
    <button type="button" class=${`icon-button ${extra}`} aria-label=${label} title=${label} ...${rest}>
      <${Icon} name=${name} />
    </button>
  `
}
