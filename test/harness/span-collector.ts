import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A span as an OTLP receiver gets it. */
export interface ReceivedSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string | undefined
  readonly name: string
  /** ns since 1970. */
  readonly start: bigint
  readonly end: bigint
  readonly attributes: Readonly<Record<string, unknown>>
  /** Roles of the process that recorded it. */
  readonly roles: string
}

export interface SpanCollector {
  readonly url: string
  readonly spans: ReceivedSpan[]
  /** Everything that was received, as text. */
  text(): string
}

interface Attribute {
  readonly key: string
  readonly value: {
    readonly stringValue?: string
    readonly intValue?: number
    readonly arrayValue?: { readonly values: readonly Attribute['value'][] }
  }
}
interface Body {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly Attribute[] }
    readonly scopeSpans: readonly {
      readonly spans: readonly (Omit<ReceivedSpan, 'attributes'> & {
        readonly attributes: readonly Attribute[]
        readonly startTimeUnixNano: string
        readonly endTimeUnixNano: string
      })[]
    }[]
  }[]
}

const plainOf = (value: Attribute['value']): unknown =>
  value.arrayValue?.values.map(plainOf).join(',') ?? value.stringValue ?? value.intValue

const recordOf = (attributes: readonly Attribute[]): Record<string, unknown> =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, plainOf(value)]))

/** A receiver of spans over OTLP/HTTP, on a free port until the test ends. */
export const startSpanCollector = async (t: {
  teardown(fn: () => unknown): void
}): Promise<SpanCollector> => {
  const spans: ReceivedSpan[] = []
  const texts: string[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', chunk => chunks.push(chunk))
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString()
      texts.push(text)
      for (const { resource, scopeSpans } of (JSON.parse(text) as Body).resourceSpans)
        for (const { spans: received } of scopeSpans)
          for (const { startTimeUnixNano, endTimeUnixNano, attributes, ...span } of received)
            spans.push({
              ...span,
              start: BigInt(startTimeUnixNano),
              end: BigInt(endTimeUnixNano),
              attributes: recordOf(attributes),
              roles: String(recordOf(resource.attributes)['confab.roles']),
            })
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
    })
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}/v1/traces`, spans, text: () => texts.join('\n') }
}
