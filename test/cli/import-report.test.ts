import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { replayLog, runConfab } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'

t.test('an import reports every line of an IRC log that it does not read', async t => {
  const folder = tempFolder(t)
  const data = join(folder, 'data')
  const logs = join(folder, 'logs')
  const file = join(logs, '#room_20210304.log')
  mkdirSync(logs)
  const good = [
    '[10:00:01] *** Joins: una (~u@host.example)',
    '[10:00:02] <una> one',
    '[10:00:03] *** una sets mode: +o una',
    '[10:00:04] <@bob> \x0304two\x0f',
    '[10:00:05] * cas waves',
    '[10:00:06] *** una is now known as ula',
  ]
  const bad = Array.from({ length: 25 }, (_, i) => `[25:99] <una> ${i}`)
  writeFileSync(
    file,
    `\ufeff${[...good, ...bad, '[10:00:07] <ula> ', '[10:00:08] <ula> three'].join('\r\n')}\r\n`,
  )
  const irc = ['import', 'irc', logs, '--channel', 'room', '--data', data]

  const first = await runConfab(irc)
  t.equal(first.code, 1)
  t.match(
    first.stdout,
    /^4 messages imported, 0 stored before, 3 joins and leaves, 2 joins added for senders, 1 line of other kinds, 26 lines not imported; /,
  )
  for (let line = 7; line <= 31; line++)
    t.match(first.stderr, `${file}:${line}: has a time that does not exist`)
  t.match(first.stderr, `${file}:32: text has no visible character`)
  t.match(first.stderr, /error BAD_INPUT: 26 lines were not imported/)
  const messages = async () =>
    (await replayLog(['--data', data]))
      .get('room')!
      .filter(({ type }) => type === 'message.posted')
      .map(({ from, at, text }) => [from, at, text])
  const stored = [
    ['una', '2021-03-04T10:00:02.000Z', 'one'],
    ['bob', '2021-03-04T10:00:04.000Z', 'two'],
    ['cas', '2021-03-04T10:00:05.000Z', '/me waves'],
    ['ula', '2021-03-04T10:00:08.000Z', 'three'],
  ]
  t.same(await messages(), stored)

  const again = await runConfab(irc)
  t.equal(again.code, 1, 'bad lines are reported again')
  t.match(
    again.stdout,
    /^0 messages imported, 4 stored before, 0 joins and leaves, 0 joins added for senders, /,
  )

  const repaired = bad.map((_, i) => `[10:00:07] <una> repaired ${i}`)
  const lines = [...good, ...repaired, '[10:00:07] <ula> repaired too', '[10:00:08] <ula> three']
  writeFileSync(file, `\ufeff${lines.join('\r\n')}\r\n`)
  const third = await runConfab(irc)
  t.equal(third.code, 0, third.stderr)
  t.match(
    third.stdout,
    /^26 messages imported, 4 stored before, 0 joins and leaves, 1 join added for senders, /,
  )

  const fourth = await runConfab(irc)
  t.equal(fourth.code, 0)
  t.match(fourth.stdout, /^nothing new, all items were imported before; /)
  appendFileSync(file, '[10:00:09] *** bob sets mode: +o cas\r\n')
  t.match((await runConfab(irc)).stdout, /^0 messages imported, 30 stored before/)

  writeFileSync(file, `\ufeff${[...lines.slice(0, 1), ...lines.slice(2)].join('\r\n')}\r\n`)
  const moved = await runConfab(irc)
  t.equal(moved.code, 1)
  t.match(
    moved.stderr,
    `${file}:7: CONFLICT: the log holds another message with the id irc-_room_20210304-`,
    'a line was removed, and the next ones have the ids of others',
  )
})

t.test('an import of files without messages does not say that all of it was imported before', async t => {
  const folder = tempFolder(t)
  const data = join(folder, 'data')
  const irc = (path: string) => runConfab(['import', 'irc', path, '--data', data])
  const empty = join(folder, '2021-03-04.log')
  writeFileSync(empty, '')
  t.match(await irc(empty), {
    code: 0,
    stdout: /^nothing to import: the files hold no messages, joins or leaves; /,
  })
  const others = join(folder, '2021-03-05.log')
  writeFileSync(others, '[10:00:03] *** una sets mode: +o una\n\n')
  t.match(await irc(others), { code: 0, stdout: /^nothing to import/ })
  const unreadable = join(folder, '2021-03-06.log')
  writeFileSync(unreadable, 'una: hello\nbob: hi\n')
  const { code, stdout, stderr } = await irc(unreadable)
  t.equal(code, 1)
  t.match(stdout, /^0 messages imported, .*, 2 lines not imported; /)
  t.match(stderr, `${unreadable}:2: is not a line of a known form`)
})

t.test('a log needs a day, in its name or in a line', async t => {
  const folder = tempFolder(t)
  const data = join(tempFolder(t), 'data')
  const file = join(folder, '#room.weechatlog')
  writeFileSync(file, '10:00 <una> x\n')
  const without = await runConfab(['import', 'irc', file, '--data', data])
  t.equal(without.code, 1)
  t.match(without.stderr, /error NO_INPUT: .*#room\.weechatlog: neither the file name nor the log has a day/)
  writeFileSync(file, '2021-03-04 10:00:00\tuna\tx\n2021-03-05 10:00:00\tuna\ty\n')
  const older = join(folder, '#room.old.log')
  writeFileSync(older, '--- Log opened Wed Mar 03 09:58:11 2021\n09:59 < una> w\n')
  const imported = await runConfab(['import', 'irc', folder, '--channel', 'room', '--data', data])
  t.equal(imported.code, 0, imported.stderr)
  t.notMatch(imported.stderr, 'not imported')
  writeFileSync(join(folder, '2021-03-06.txt'), '10:00 <una> z\n')
  const again = await runConfab(['import', 'irc', folder, '--channel', 'room', '--data', data])
  t.match(again.stdout, /^nothing new/)
  t.match(again.stderr, `not imported, because of the name: ${join(folder, '2021-03-06.txt')}`)
  t.same(
    (await replayLog(['--data', data]))
      .get('room')!
      .flatMap(({ type, at, text }) => (type === 'message.posted' ? [[at, text]] : [])),
    [
      ['2021-03-03T09:59:00.000Z', 'w'],
      ['2021-03-04T10:00:00.000Z', 'x'],
      ['2021-03-05T10:00:00.000Z', 'y'],
    ],
  )
})
