import type { Attributes, Context, Span } from '@opentelemetry/api'
import type { CommandBus } from '../../commands/index.ts'
import { ConfabError, ErrorRegistry, type StoredEvent } from '../../events/index.ts'
import { formatTraceparent, isInRatio, parseTraceparent, type TraceContext } from './trace-context.ts'
import type { TracingOptions } from './tracing-options.ts'

/** Spans of commands, deliveries and projections. Spans have no ids of users and conversations, and no content. */
export interface Tracing {
  /**
   * Returns a bus whose commands are spans. At the edge, the ratio decides which commands are traced, whatever clients
   * ask for; a commands node continues the traces of edge nodes.
   */
  traced(bus: CommandBus, place: 'edge' | 'commands'): CommandBus
  /** Records the delivery of an event to local sockets, `seconds` after the decision. */
  delivered(event: StoredEvent, sockets: number, seconds: number): void
  /** Records that projections have stored events. `startedAt`: when their transaction began, ms since 1970. */
  projected(projections: readonly string[], events: readonly StoredEvent[], startedAt: number): void
  /** Sends the spans that wait, for at most 2 s. */
  stop(): Promise<void>
}

/** The description of the process in its spans. */
export interface TracedProcess {
  readonly instance: string
  readonly roles: readonly string[]
  /** Called when spans cannot be sent, and when they can again. */
  readonly onNotice: (notice: string) => void
}

const stopMs = 2_000

/**
 * Opens the export of spans. Undefined: none is configured. Spans wait in a queue of 2,048; further spans are dropped,
 * so a collector that does not answer delays nothing.
 */
export const openTracing = async (
  { url, ratio = 0 }: Partial<TracingOptions>,
  { instance, roles, onNotice }: TracedProcess,
): Promise<Tracing | undefined> => {
  if (url === undefined || ratio === 0) return undefined
  const [api, sdk, { OTLPTraceExporter }, { resourceFromAttributes }] = await Promise.all([
    import('@opentelemetry/api'),
    import('@opentelemetry/sdk-trace-base'),
    import('@opentelemetry/exporter-trace-otlp-http'),
    import('@opentelemetry/resources'),
  ])
  const exporter = new OTLPTraceExporter({ url })
  let isFailing = false
  const reporting: typeof exporter.export = (spans, done) =>
    exporter.export(spans, result => {
      const fails = result.error !== undefined
      if (fails !== isFailing)
        onNotice(fails ? `spans cannot be sent: ${result.error?.message}` : 'spans are sent again')
      isFailing = fails
      done(result)
    })
  const provider = new sdk.BasicTracerProvider({
    sampler: new sdk.AlwaysOnSampler(),
    resource: resourceFromAttributes({
      'service.name': 'confab',
      'service.instance.id': instance,
      'confab.roles': [...roles],
    }),
    spanProcessors: [
      new sdk.BatchSpanProcessor({
        export: reporting,
        shutdown: () => exporter.shutdown(),
        forceFlush: () => exporter.forceFlush(),
      }),
    ],
  })
  const tracer = provider.getTracer('confab')
  const { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } = api

  const within = ({ traceId, spanId }: TraceContext): Context =>
    trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags: 1, isRemote: true })

  const traceparentOf = (span: Span): string => {
    const { traceId, spanId } = span.spanContext()
    return formatTraceparent({ traceId, spanId, isSampled: true })
  }

  /** Ends the span of a failed command. Errors that the client can avoid are no errors of the service. */
  const failed = (span: Span, error: unknown): void => {
    const { code } = ConfabError.from(error)
    span.setAttribute('confab.code', code)
    if (ErrorRegistry[code].status >= 500) span.setStatus({ code: SpanStatusCode.ERROR })
    span.end()
  }

  const run = <T extends object>(span: Span, work: Promise<T>): Promise<T> =>
    work.then(
      answer => {
        if ('seq' in answer && typeof answer.seq === 'number') span.setAttribute('confab.seq', answer.seq)
        span.end()
        return answer
      },
      error => {
        failed(span, error)
        throw error
      },
    )

  const spanAt = (place: 'edge' | 'commands', type: string, parent: TraceContext | undefined): Span =>
    tracer.startSpan(
      `${place === 'edge' ? 'command' : 'decide'} ${type}`,
      { kind: SpanKind.SERVER, attributes: { 'confab.request': type } },
      parent === undefined ? ROOT_CONTEXT : within(parent),
    )

  /** Records what happened to an event, as a child of the span that appended it. */
  const followUp = (name: string, event: StoredEvent, startedAt: number, attributes: Attributes): void => {
    const parent = parseTraceparent(event.envelope.traceparent)
    if (parent?.isSampled !== true) return
    const { stream, streamSeq } = event
    const options = {
      kind: SpanKind.CONSUMER,
      startTime: startedAt,
      attributes: { 'confab.stream': stream, 'confab.stream_seq': streamSeq, ...attributes },
    }
    tracer.startSpan(name, options, within(parent)).end()
  }

  return {
    traced: (bus, place) => ({
      execute(request, context) {
        const parent = parseTraceparent(context.traceparent)
        if (place === 'commands') {
          if (parent?.isSampled !== true) return bus.execute(request, context)
        } else if (parent === undefined) {
          if (Math.random() >= ratio) return bus.execute(request, context)
        } else if (!isInRatio(parent.traceId, ratio)) {
          return bus.execute(request, {
            ...context,
            traceparent: formatTraceparent({ ...parent, isSampled: false }),
          })
        }
        const span = spanAt(place, request.t, parent)
        return run(span, bus.execute(request, { ...context, traceparent: traceparentOf(span) }))
      },
      get load() {
        return bus.load
      },
      drain: () => bus.drain(),
    }),
    delivered: (event, sockets, seconds) =>
      followUp(`deliver ${event.envelope.type}`, event, Date.now() - seconds * 1_000, {
        'confab.sockets': sockets,
      }),
    projected: (projections, events, startedAt) => {
      for (const event of events)
        if (event.envelope.traceparent !== undefined)
          for (const projection of projections) followUp(`project ${projection}`, event, startedAt, {})
    },
    stop: async () => {
      await Promise.race([
        provider.shutdown().catch(() => {}),
        new Promise(done => setTimeout(done, stopMs).unref()),
      ])
    },
  }
}
