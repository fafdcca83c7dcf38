import t from 'tap'
import { hostCheck, isLoopback } from '../../src/base/host-names.ts'

t.test('loopback addresses', async t => {
  for (const host of ['127.0.0.1', '127.9.9.9', '::1', 'localhost']) t.ok(isLoopback(host), host)
  for (const host of ['0.0.0.0', '::', '192.0.2.1', 'example.com', '127.0.0.1.example.com', ''])
    t.notOk(isLoopback(host), host)
})

t.test('a host is accepted by its name, or because it is an address', async t => {
  const accepts = hostCheck(['Chat.example'])
  for (const header of [
    'localhost',
    'LOCALHOST:8080',
    'chat.example',
    'chat.example:443',
    '127.0.0.1:8080',
    '192.0.2.1',
    '[::1]:8080',
    '[2001:db8::1]',
  ])
    t.ok(accepts(header), header)
  for (const header of [
    '',
    'evil.example',
    'chat.example.evil.example',
    'localhost.evil.example:8080',
    'evil.example@127.0.0.1',
    '127.0.0.1@evil.example',
    '127.0.0.1.evil.example',
    'localhost:8080:1',
    'localhost/x',
    '[localhost]',
    '[127.0.0.1]',
    '2130706433',
    '0x7f.1',
    ' localhost',
    'localhost\u0000',
  ])
    t.notOk(accepts(header), JSON.stringify(header))
})
