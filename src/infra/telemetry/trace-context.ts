/** A span as other processes refer to it: W3C Trace Context, header `traceparent`. */
export interface TraceContext {
  /** 32 lower-case hexadecimal digits. */
  readonly traceId: string
  /** 16 lower-case hexadecimal digits. */
  readonly spanId: string
  readonly isSampled: boolean
}

const pattern = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/

/** Returns the context of a `traceparent`; undefined for no valid one. */
export const parseTraceparent = (text: string | undefined): TraceContext | undefined => {
  const match = text === undefined ? null : pattern.exec(text)
  if (match === null) return undefined
  const [, traceId = '', spanId = '', flags = ''] = match
  // The specification reserves ids of zeros.
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined
  return { traceId, spanId, isSampled: (Number.parseInt(flags, 16) & 1) === 1 }
}

export const formatTraceparent = ({ traceId, spanId, isSampled }: TraceContext): string =>
  `00-${traceId}-${spanId}-${isSampled ? '01' : '00'}`

/** Whether a share of all traces contains this one. Every process decides the same. */
export const isInRatio = (traceId: string, ratio: number): boolean =>
  Number.parseInt(traceId.slice(-8), 16) < ratio * 0x1_0000_0000
