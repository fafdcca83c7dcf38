import type { Page } from 'playwright-core'
import { startProxy } from '../harness/nats-proxy.ts'
import { browserTests, row, say } from './browser-tests.ts'

const test = await browserTests()

const notice = (page: Page) => page.getByText(/^No connection/)
const waiting = (page: Page, text: string) =>
  page.locator('[data-pending]', { hasText: text }).getByText('Will be sent when you are online')

test('a network that drops everything: shown before the client notices, and messages wait', async ({
  t,
  confab,
  open,
}) => {
  const ann = await confab.connect('ann')
  await ann.ok('create', { c: 'tea', kind: 'group', title: 'Tea', members: ['ben'] })
  const proxy = await startProxy(Number(new URL(confab.url).port))
  t.teardown(() => proxy.close())
  const url = `http://127.0.0.1:${proxy.port}`
  const page = await open('ben', { url, c: 'tea', expectErrors: true })
  const phone = await open('ben', {
    url,
    c: 'tea',
    expectErrors: true,
    viewport: { width: 360, height: 700 },
  })
  await say(page, 'before')
  await row(phone, 'before').waitFor()
  proxy.hold(true)
  await notice(page).waitFor()
  await notice(phone).waitFor()
  t.equal(await page.locator('.connection').getAttribute('data-state'), 'silent', 'the socket is still open')
  await page.locator('#composer').fill('written offline')
  await page.locator('#composer').press('Enter')
  await waiting(page, 'written offline').waitFor()
  t.equal(await page.getByText(/Not sent/).count(), 0)

  proxy.hold(false)
  await page.locator('[data-pending]').waitFor({ state: 'detached' })
  await row(page, 'written offline').waitFor()
  await notice(page).waitFor({ state: 'detached' })
  const { events } = (await ann.ok('history', { c: 'tea' })) as { events: { text?: string }[] }
  t.equal(events.filter(({ text }) => text === 'written offline').length, 1, 'stored once')
})

test('the browser reports a changed network: a new connection at once, although the old one seems open', async ({
  t,
  confab,
  open,
}) => {
  const cat = await confab.connect('cat')
  await cat.ok('create', { c: 'walk', kind: 'group', title: 'Walk', members: ['dan'] })
  const proxy = await startProxy(Number(new URL(confab.url).port))
  t.teardown(() => proxy.close())
  const page = await open('dan', { url: `http://127.0.0.1:${proxy.port}`, c: 'walk', expectErrors: true })
  await say(page, 'before')
  await page.evaluate(() => dispatchEvent(new Event('offline')))
  await notice(page).waitFor()
  await notice(page).waitFor({ state: 'detached' })
  t.pass('a server that answers is not offline for long')

  // Packets of the old connection stay lost; new connections work.
  proxy.hold(true)
  await notice(page).waitFor()
  await page.locator('#composer').fill('on the way')
  await page.locator('#composer').press('Enter')
  proxy.holdNew(false)
  await page.evaluate(() => dispatchEvent(new Event('online')))
  await row(page, 'on the way').waitFor()
  await page.locator('[data-pending]').waitFor({ state: 'detached' })
  await cat.find(frame => frame.text === 'on the way')
})
