import { setTimeout as wait } from 'node:timers/promises'
import t from 'tap'
import { type Dialect, dialects } from '../../bench/load/dialects/index.ts'
import { openSocket } from '../../bench/load/sessions.ts'
import { Watch } from '../../bench/load/watch.ts'
import { loadUws } from '../../src/infra/uws/index.ts'

const event = (seq: number, number = seq) =>
  `{"t":"event","c":"bench-000000","seq":${seq},"type":"message.posted","m":"01940000-0000-7000-8000-${String(number).padStart(12, '0')}","text":"0000000000ff"}`

/** A server that sends given frames after the first request; `heard` collects later requests. */
const watching = async (
  t: { teardown(end: () => unknown): void },
  frames: readonly string[],
  dialect: Dialect = dialects.confab,
) => {
  const uws = loadUws()
  const app = uws.App()
  const heard: string[] = []
  app.ws('/*', {
    message: (socket, message) => {
      if (message.byteLength > 0) heard.push(Buffer.from(message).toString())
      else for (const frame of frames) socket.send(frame)
    },
  })
  const port = await new Promise<number>((resolve, reject) =>
    app.listen('127.0.0.1', 0, listening =>
      listening ? resolve(uws.us_socket_local_port(listening)) : reject(new Error('cannot listen')),
    ),
  )
  t.teardown(() => app.close())
  const { wire } = await openSocket(port, { path: '/' }, dialect, false)
  const watch = new Watch([wire], dialect)
  wire.write(Buffer.from([0x81, 0x80, 0, 0, 0, 0]))
  return { report: watch.report.bind(watch), heard }
}

const due = (messages: number) => [{ socket: 0, c: 'bench-000000', messages }]

t.test('messages in order, each once, are reported', async t => {
  const { report } = await watching(t, [event(3), event(4), '{"t":"signal"}', event(5)])
  t.equal((await report(due(3))).delivered, 3)
})

t.test('a missing, duplicate or reordered message is reported', async t => {
  await t.rejects((await watching(t, [event(1), event(3)])).report(due(2)), {
    message: /out of order after 1/,
  })
  await t.rejects((await watching(t, [event(1), event(2, 1)])).report(due(1)), { message: /delivered twice/ })
  await t.rejects((await watching(t, [event(1)])).report(due(2)), { message: /got 1 of 2/ })
  await t.rejects((await watching(t, [event(1), event(2), event(3)])).report(due(2)), {
    message: /got 3 of 2/,
  })
})

t.test('several messages in one frame, and heartbeats, are recognised', async t => {
  const push = (number: number) =>
    `{"push":{"channel":"bench-000000","pub":{"data":{"c":"bench-000000","m":"01940000-0000-7000-8000-${String(number).padStart(12, '0')}","text":"0000000000ff"}}}}`
  const { report, heard } = await watching(
    t,
    [`${push(1)}\n${push(2)}\n`, '{}', push(3)],
    dialects.centrifuge,
  )
  t.equal((await report(due(3))).delivered, 3)
  while (heard.length === 0) await wait(5)
  t.same(heard, ['{}'], 'the heartbeat was answered')
})
