import { setTimeout as wait } from 'node:timers/promises'
import { readDecimal, readHex, SendFrame, SendLayout } from './frames.ts'
import type { RunPlan, RunResult, Spread } from './jobs.ts'
import type { WireSocket } from './wire-socket.ts'

const most = 1_000_000
const quiet = 10_000
const mField = Buffer.from('"m":"')
const seqField = Buffer.from('"seq":')
const code = (character: string): number => character.charCodeAt(0)
const [r, t, e, i] = [code('r'), code('t'), code('e'), code('i')]

const spread = (samples: number[]): Spread => {
  const sorted = Float64Array.from(samples).sort()
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
  return { p50: at(0.5), p99: at(0.99) }
}

/** Sleeps after every turn of the loop, so that more has come at the next: a read costs as much as hundreds of frames. */
const napBetweenTurns = (ms: number): (() => void) => {
  const never = new Int32Array(new SharedArrayBuffer(4))
  let isOver = false
  const nap = () => {
    if (isOver) return
    Atomics.wait(never, 0, 0, ms)
    setImmediate(nap)
  }
  setImmediate(nap)
  return () => {
    isOver = true
  }
}

/**
 * One run of messages: sends, and holds what comes against what must come. Every message acked once, delivered once to each receiver, in order.
 * Rejects when that is not so.
 */
export const runLoad = async (sockets: readonly WireSocket[], plan: RunPlan): Promise<RunResult> => {
  const { senders, inFlight, receivers, sample } = plan
  const checkedReceivers = sample === 1 ? receivers : Math.ceil(sockets.length / sample)
  const sentAt = new Float64Array(most)
  const senderOf = new Uint32Array(most)
  const ackedAt = new Uint8Array(most)
  const checked = new Uint16Array(most)
  const frames: SendFrame[] = []
  const spare: SendFrame[][] = senders.map(({ c }) =>
    Array.from({ length: inFlight }, () => new SendFrame(c)),
  )
  const lastSeq = new Float64Array(sockets.length)
  const lastOfSender = new Map<number, number>()
  const ackMs: number[] = []
  const deliveryMs: number[] = []
  let sent = 0
  let acked = 0
  let delivered = 0
  let deliveredBytes = 0
  let sending = true
  let lastAt = 0
  let fault: string | undefined

  const send = (sender: number): void => {
    if (!sending || sent === most) return
    const { socket, c } = senders[sender]!
    const frame = spare[sender]!.pop() ?? new SendFrame(c)
    const k = sent++
    frame.set(k, Date.now())
    frames[k] = frame
    senderOf[k] = sender
    sentAt[k] = performance.now()
    sockets[socket]!.write(frame.bytes)
  }

  const over = (k: number): void => {
    const sender = senderOf[k]!
    spare[sender]!.push(frames[k]!)
    if (plan.rate === undefined) send(sender)
  }

  const onAck = (bytes: Buffer, start: number, end: number): void => {
    const k = readHex(bytes, start + SendLayout.id.start, start + SendLayout.id.end)
    if (bytes[start + SendLayout.id.end + 7] !== t) fault ??= `refused: ${bytes.toString('utf8', start, end)}`
    if (!(k < sent) || ackedAt[k] === 1)
      fault ??= `answered twice or never asked: ${bytes.toString('utf8', start, end)}`
    ackedAt[k] = 1
    acked++
    lastAt = performance.now()
    ackMs.push(lastAt - sentAt[k]!)
    if (plan.until === 'acked' || checked[k] === checkedReceivers) over(k)
  }

  /** The order at one socket: seq without a gap, or for the relay, which has none, each sender's messages as they were sent. */
  const inOrder = (bytes: Buffer, start: number, end: number, socket: number, k: number): boolean => {
    if (bytes[start + 2] === i) {
      const key = socket * senders.length + senderOf[k]!
      const before = lastOfSender.get(key) ?? -1
      lastOfSender.set(key, k)
      return k > before
    }
    const at = bytes.indexOf(seqField, start)
    if (at < 0 || at > end) return false
    const seq = readDecimal(bytes, at + seqField.length)
    const before = lastSeq[socket]!
    lastSeq[socket] = seq
    return before === 0 || seq === before + 1
  }

  const onDelivery = (bytes: Buffer, start: number, end: number, socket: number): void => {
    const at = bytes.indexOf(mField, start)
    const k = at < 0 || at > end ? -1 : readHex(bytes, at + 29, at + 41)
    if (!(k >= 0 && k < sent)) {
      fault ??= `not a message of this run: ${bytes.toString('utf8', start, end)}`
      return
    }
    if (!inOrder(bytes, start, end, socket, k))
      fault ??= `out of order: ${bytes.toString('utf8', start, end)}`
    lastAt = performance.now()
    if (senders[senderOf[k]!]!.socket !== socket) deliveryMs.push(lastAt - sentAt[k]!)
    deliveredBytes = end - start
    checked[k]!++
    if (plan.until === 'delivered' && checked[k] === checkedReceivers && ackedAt[k] === 1) over(k)
  }

  sockets.forEach((wire, socket) => {
    const looked = socket % sample === 0
    wire.onFrame = (bytes, start, end) => {
      const kind = bytes[start + 2]
      if (kind === r) onAck(bytes, start, end)
      else if (kind === i || (kind === t && bytes[start + 6] === e)) {
        delivered++
        if (!sending && delivered === sent * receivers) lastAt = performance.now()
        if (looked) onDelivery(bytes, start, end, socket)
      }
    }
  })

  const stopNaps = plan.napMs === undefined ? () => {} : napBetweenTurns(plan.napMs)
  const cpu = process.cpuUsage()
  const startedAt = performance.now()
  if (plan.rate === undefined) {
    for (let n = 0; n < inFlight; n++) for (let sender = 0; sender < senders.length; sender++) send(sender)
    await wait(plan.seconds * 1000)
  } else {
    const total = plan.rate * plan.seconds
    for (let n = 0; n < total; n++) {
      const due = startedAt + (n * 1000) / plan.rate - performance.now()
      if (due > 0) await wait(due)
      send(n % senders.length)
    }
  }
  sending = false
  lastAt = Math.max(lastAt, startedAt)
  while ((acked < sent || delivered < sent * receivers) && fault === undefined) {
    const broken = sockets.findIndex(wire => wire.closed !== undefined)
    if (broken >= 0) fault = `socket ${broken} closed: ${sockets[broken]!.closed}`
    else if (performance.now() - Math.max(lastAt, startedAt + plan.seconds * 1000) > quiet)
      fault = `of ${sent} messages ${acked} were acked, ${delivered} of ${sent * receivers} deliveries came`
    await wait(2)
  }
  stopNaps()
  const used = process.cpuUsage(cpu)
  const seconds = (lastAt - startedAt) / 1000
  if (fault === undefined && delivered !== sent * receivers)
    fault = `${delivered} deliveries, ${sent * receivers} were due`
  for (let k = 0; k < sent && fault === undefined; k++)
    if (checked[k] !== checkedReceivers)
      fault = `message ${k} was delivered ${checked[k]} times, not ${checkedReceivers}`
  if (fault !== undefined) throw new Error(fault)
  return {
    sent,
    acked,
    delivered,
    seconds,
    ackMs: spread(ackMs),
    deliveryMs: spread(deliveryMs),
    deliveredBytes,
    cores: (used.user + used.system) / 1e6 / seconds,
  }
}
