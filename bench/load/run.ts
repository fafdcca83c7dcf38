import { setTimeout as wait } from 'node:timers/promises'
import { type Dialect, Kind } from './dialects/index.ts'
import { readDecimal, readHex, SendFrame } from './frames.ts'
import type { RunPlan, RunResult } from './jobs.ts'
import { spread } from './spread.ts'
import type { WireSocket } from './wire-socket.ts'

const most = 1_000_000
const quiet = 10_000
const mField = Buffer.from('"m":"')
const seqField = Buffer.from('"seq":')
const t = 't'.charCodeAt(0)

/**
 * Sleeps after every turn of the loop, so more frames have arrived at the next: one read costs as much as hundreds of
 * frames.
 */
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
 * Runs messages and checks the results: every message acknowledged once, delivered once to each receiver, in order.
 * Rejects otherwise.
 */
export const runLoad = async (
  sockets: readonly WireSocket[],
  dialect: Dialect,
  plan: RunPlan,
): Promise<RunResult> => {
  const { senders, inFlight, receivers, sample } = plan
  const checkedReceivers = sample === 1 ? receivers : Math.ceil(sockets.length / sample)
  const sentAt = new Float64Array(most)
  const senderOf = new Uint32Array(most)
  const ackedAt = new Uint8Array(most)
  const checked = new Uint16Array(most)
  const frames: SendFrame[] = []
  const spare: SendFrame[][] = senders.map(({ c }) =>
    Array.from({ length: inFlight }, () => new SendFrame(dialect.template(c), plan.textBytes)),
  )
  const sentBy = new Uint32Array(senders.length)
  const each = plan.each ?? Number.POSITIVE_INFINITY
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
    if (!sending || sent === most || sentBy[sender]! >= each) return
    const { socket, c } = senders[sender]!
    const frame = spare[sender]!.pop() ?? new SendFrame(dialect.template(c), plan.textBytes)
    sentBy[sender]!++
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
    const k = dialect.numberOf(bytes, start, end)
    if (!(k < sent) || ackedAt[k] === 1)
      fault ??= `answered twice or never asked: ${bytes.toString('utf8', start, end)}`
    ackedAt[k] = 1
    acked++
    lastAt = performance.now()
    ackMs.push(lastAt - sentAt[k]!)
    if (plan.until === 'acked' || checked[k] === checkedReceivers) over(k)
  }

  /**
   * Checks the order at one socket: confab's seq without gaps, or each sender's messages in order for protocols
   * without seq.
   */
  const inOrder = (bytes: Buffer, start: number, end: number, socket: number, k: number): boolean => {
    if (bytes[start + 2] !== t) {
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
    dialect.listen(wire, (bytes, start, end) => {
      const kind = dialect.kind(bytes, start, end)
      if (kind === Kind.delivery) {
        delivered++
        if (!sending && delivered === sent * receivers) lastAt = performance.now()
        if (looked) onDelivery(bytes, start, end, socket)
      } else if (kind === Kind.ack) onAck(bytes, start, end)
      else if (kind === Kind.refusal) fault ??= `refused: ${bytes.toString('utf8', start, end)}`
    })
  })

  const stopNaps = plan.napMs === undefined ? () => {} : napBetweenTurns(plan.napMs)
  const cpu = process.cpuUsage()
  const startedAt = performance.now()
  if (plan.rate === undefined) {
    for (let n = 0; n < inFlight; n++) for (let sender = 0; sender < senders.length; sender++) send(sender)
    const isOver = () => sent === senders.length * each && acked === sent
    const endsAt = startedAt + plan.seconds * 1000
    if (plan.each === undefined) await wait(plan.seconds * 1000)
    else while (!isOver() && fault === undefined && performance.now() < endsAt) await wait(1)
    if (plan.each !== undefined && !isOver()) fault ??= `${sent} sent, ${acked} acked in ${plan.seconds} s`
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
    else if (performance.now() - Math.max(lastAt, startedAt + (plan.each ? 0 : plan.seconds * 1000)) > quiet)
      fault = `of ${sent} messages ${acked} were acked, ${delivered} of ${sent * receivers} deliveries arrived`
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
