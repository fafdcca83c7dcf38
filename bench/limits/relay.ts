/**
 * The bare relay: socket → publish with expectation → ack to the socket; republish → topic. It checks nothing and
 * knows only the last sequence of each subject. One publish per subject is in flight, as the expectation requires;
 * further ones wait.
 */
import { livePrefix, subjectOf } from '../../src/events/index.ts'
import { connectNats } from '../../src/infra/nats/index.ts'
import { loadUws } from '../../src/infra/uws/index.ts'
import { SendLayout } from '../load/frames.ts'
import { RawPublisher } from './raw-publisher.ts'

interface Waiting {
  readonly bytes: Buffer
  readonly answer: (text: string) => void
}

interface Subject {
  readonly name: string
  last: number
  isBusy: boolean
  readonly queue: Waiting[]
}

const { connection: nats } = await connectNats({ servers: process.argv[2]! })
const publisher = new RawPublisher(nats)
const subjects = new Map<string, Subject>()
const uws = loadUws()
const app = uws.App()
const { id, m } = SendLayout

const pump = (subject: Subject): void => {
  const next = subject.queue.shift()
  if (next === undefined) {
    subject.isBusy = false
    return
  }
  subject.isBusy = true
  publisher.publish(
    subject.name,
    next.bytes,
    next.bytes.toString('latin1', m.start, m.end),
    subject.last,
    (seq, refusal) => {
      if (refusal !== undefined) throw new Error(refusal)
      subject.last = seq
      next.answer(`{"re":"${next.bytes.toString('latin1', id.start, id.end)}","ok":true,"seq":${seq}}`)
      pump(subject)
    },
  )
}

app.ws<{ topic: string }>('/*', {
  upgrade: (response, request, context) => {
    response.upgrade(
      { topic: request.getUrl().slice(1) },
      request.getHeader('sec-websocket-key'),
      request.getHeader('sec-websocket-protocol'),
      request.getHeader('sec-websocket-extensions'),
      context,
    )
  },
  open: socket => {
    socket.subscribe(socket.getUserData().topic)
  },
  message: (socket, message) => {
    // uWebSockets owns the buffer and reuses it after this call.
    const bytes = Buffer.from(message.slice(0))
    const topic = socket.getUserData().topic
    let subject = subjects.get(topic)
    if (subject === undefined) {
      subject = { name: subjectOf({ family: 'conv', id: topic }), last: 0, isBusy: false, queue: [] }
      subjects.set(topic, subject)
    }
    subject.queue.push({ bytes, answer: text => socket.send(text) })
    if (!subject.isBusy) pump(subject)
  },
})
nats.subscribe(`${livePrefix}.conv.*.*`, {
  callback: (_, message) => {
    app.publish(message.subject.slice(message.subject.lastIndexOf('.') + 1), message.data)
  },
})
await nats.flush()
app.listen('127.0.0.1', 0, socket => {
  if (!socket) throw new Error('cannot listen')
  process.send?.({ port: uws.us_socket_local_port(socket) })
})
for (const end of ['disconnect', 'SIGTERM']) process.on(end, () => process.exit())
