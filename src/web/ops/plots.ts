import uPlot from 'uplot'
import { element } from './element.ts'
import type { Sample } from './state.ts'

const height = 120
/** Shortest time that a plot spans, s: a process that has just started has few samples. */
const shortest = 600
const figure = new Intl.NumberFormat('en-GB', { maximumFractionDigits: 1 })

type Value = 'messages' | 'sockets' | 'lag'

const colour = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name)

/** A plot of one figure over the last hour, with its newest value as text. */
export class Plot {
  readonly root: HTMLElement
  readonly #value: Value
  readonly #title: string
  readonly #newest = element('output')
  readonly #place = element('div', { role: 'img' })
  #samples: readonly Sample[] = []
  #plot: uPlot | undefined

  constructor(title: string, value: Value) {
    this.#title = title
    this.#value = value
    // An output element announces each change, which would be too often.
    this.#newest.setAttribute('aria-live', 'off')
    const heading = element('h2', {}, title, this.#newest)
    this.root = element('section', { class: 'panel' }, heading, this.#place)
    new ResizeObserver(() => this.#resize()).observe(this.#place)
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      this.#plot?.destroy()
      this.#plot = undefined
      this.show(this.#samples)
    })
  }

  show(samples: readonly Sample[]): void {
    this.#samples = samples
    const known = samples.flatMap(one => one[this.#value] ?? [])
    const newest = known.at(-1)
    this.#newest.value = newest === undefined ? '–' : figure.format(newest)
    this.#place.setAttribute(
      'aria-label',
      newest === undefined
        ? `${this.#title}: no data`
        : `${this.#title} in the last hour: now ${figure.format(newest)}, from ${figure.format(Math.min(...known))} to ${figure.format(Math.max(...known))}`,
    )
    const data: uPlot.AlignedData = [
      samples.map(({ at }) => at / 1_000),
      samples.map(one => one[this.#value] ?? null),
    ]
    if (this.#plot === undefined) this.#plot = new uPlot(this.#options(), data, this.#place)
    else this.#plot.setData(data)
  }

  #resize(): void {
    this.#plot?.setSize({ width: this.#place.clientWidth, height })
  }

  #options(): uPlot.Options {
    const axis = {
      stroke: colour('--muted'),
      grid: { stroke: colour('--line'), width: 1 },
      ticks: { show: false },
      font: '11px system-ui, sans-serif',
    }
    return {
      width: this.#place.clientWidth,
      height,
      legend: { show: false },
      cursor: { show: false },
      scales: {
        x: {
          range: (_plot, min, max) => [
            Math.max(max - 3_600, Math.min(min, max - shortest)),
            max + (max - min) / 100 + 2,
          ],
        },
        y: { range: (_plot, _min, max) => [0, Math.max(1, (max ?? 0) * 1.1)] },
      },
      axes: [
        { ...axis, size: 24, space: 70, values: '{HH}:{mm}' },
        { ...axis, size: 46, space: 28, values: (_plot, values) => values.map(one => figure.format(one)) },
      ],
      series: [
        {},
        {
          stroke: colour('--accent'),
          width: 2,
          fill: colour('--accent-soft'),
          points: { show: true, size: 4, fill: colour('--accent') },
        },
      ],
    }
  }
}
