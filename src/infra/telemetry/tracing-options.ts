import { option, type ValuesOf } from '../../base/option.ts'
import { ratio, url } from '../../base/option-types.ts'

/** Traces of commands, by OpenTelemetry. */
export const tracingOptions = {
  url: option({
    key: 'tracing.url',
    type: url('http', 'https'),
    secret: 'url',
    doc: 'OTLP address that receives spans over HTTP, such as `http://localhost:4318/v1/traces`. Headers for it are in OTEL_EXPORTER_OTLP_HEADERS. Not given: no spans.',
  }),
  ratio: option({
    key: 'tracing.ratio',
    type: ratio,
    default: 0.01,
    doc: 'Share of the commands that are traced, 0 to 1. The trace id decides, so a trace that a client started is recorded in all nodes or in none.',
  }),
} as const

export type TracingOptions = ValuesOf<typeof tracingOptions>
