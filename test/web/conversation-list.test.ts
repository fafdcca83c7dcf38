import type { Page } from 'playwright-core'
import { browserTests, line, row } from './browser-tests.ts'

const test = await browserTests()

const names = (page: Page): Promise<string[]> => page.locator('.conversation-name').allTextContents()

test('a message lifts a conversation, also after a reload; other events do not', async ({
  t,
  confab,
  open,
}) => {
  const ann = await confab.connect('ann')
  for (const c of ['one', 'two', 'three']) {
    await ann.ok('create', { c, kind: 'group', title: c, members: ['ben'] })
    await ann.ok('send', { c, m: `${c}-m`, text: `in ${c}` })
  }
  const page = await open('ben')
  await line(page, 'three').waitFor()
  t.same(await names(page), ['three', 'two', 'one'])
  await ann.ok('react', { c: 'one', m: 'one-m', emoji: '👍', on: true })
  await ann.ok('edit', { c: 'one', m: 'one-m', text: 'in one, edited' })
  await ann.ok('invite', { c: 'one', user: 'carl' })
  await line(page, 'in one, edited').waitFor()
  t.same(await names(page), ['three', 'two', 'one'], 'live')
  await ann.ok('send', { c: 'two', m: 'two-2', text: 'again in two' })
  await line(page, 'again in two').waitFor()
  t.same(await names(page), ['two', 'three', 'one'], 'live, after a message')
  await page.reload()
  await line(page, 'again in two').waitFor()
  t.same(await names(page), ['two', 'three', 'one'], 'after a reload')
})

test('the filter finds conversations of the whole list by name', async ({ t, confab, open }) => {
  const una = await confab.connect('una')
  for (let i = 0; i < 130; i++)
    await una.ok('create', {
      c: `c${i}`,
      kind: 'group',
      title: i === 0 ? 'Żółta łódź' : `Group ${i}`,
      members: [],
    })
  const page = await open('una')
  await line(page, 'Group 129').waitFor()
  const filter = page.getByLabel('Filter conversations')
  await filter.fill('12 group')
  const wanted = Array.from({ length: 130 }, (_, i) => `Group ${i}`).filter(name => name.includes('12'))
  await page.waitForFunction(
    count => document.querySelectorAll('.conversation').length === count,
    wanted.length,
  )
  t.same(new Set(await names(page)), new Set(wanted))
  await filter.fill('zołta')
  await line(page, 'Żółta').waitFor()
  await filter.press('ArrowDown')
  await page.locator('.conversation:focus', { hasText: 'Żółta' }).waitFor()
  await filter.fill('none of them')
  await page.getByText('No conversation has this name.').waitFor()
  await filter.press('Escape')
  await line(page, 'Group 129').waitFor()
  t.equal(await filter.inputValue(), '')
})

test('muting is visible and lasts', async ({ t, confab, open }) => {
  const vic = await confab.connect('vic')
  await vic.ok('create', { c: 'loud', kind: 'group', title: 'Loud', members: ['wim'] })
  await vic.ok('send', { c: 'loud', m: 'm1', text: 'hello' })
  const page = await open('wim', { c: 'loud' })
  await row(page, 'hello').waitFor()
  await page.getByRole('button', { name: 'Mute', exact: true }).click()
  await page.getByRole('button', { name: 'Unmute' }).waitFor()
  await line(page, 'Loud').getByText('muted').waitFor({ state: 'attached' })
  await page.reload()
  await line(page, 'Loud').getByText('muted').waitFor({ state: 'attached' })
  await page.getByRole('button', { name: 'Unmute' }).click()
  await page.getByRole('button', { name: 'Mute', exact: true }).waitFor()
  t.equal(await line(page, 'Loud').getByText('muted').count(), 0)
})

test('notifications: asked for by a click, shown while the page is not in use', async ({
  t,
  confab,
  open,
}) => {
  const xav = await confab.connect('xav')
  await xav.ok('create', { c: 'news', kind: 'group', title: 'News', members: ['yan'] })
  await xav.ok('create', { c: 'quiet', kind: 'group', title: 'Quiet', members: ['yan'] })
  const yan = await confab.connect('yan')
  await yan.ok('mute', { c: 'quiet', on: true })
  const page = await open('yan', { permissions: ['notifications'] })
  await page.evaluate(() => {
    const shown: string[] = []
    const Real = Notification
    class Recorded extends Real {
      constructor(title: string, options?: NotificationOptions) {
        super(title, options)
        shown.push(`${title}: ${options?.body}`)
      }
    }
    Object.assign(globalThis, { Notification: Recorded, shown })
    Object.defineProperty(document, 'hasFocus', { value: () => false })
  })
  const shown = () => page.evaluate(() => (globalThis as unknown as { shown: string[] }).shown)
  const button = page.getByRole('button', { name: 'Notifications' })
  t.equal(await button.getAttribute('aria-pressed'), 'false', 'off until the user turns them on')
  await xav.ok('send', { c: 'news', m: 'm1', text: 'first' })
  await line(page, 'first').waitFor()
  t.same(await shown(), [])
  await button.click()
  await page.locator('[aria-label=Notifications][aria-pressed=true]').waitFor()
  await xav.ok('send', { c: 'quiet', m: 'm2', text: 'muted' })
  await xav.ok('send', { c: 'news', m: 'm3', text: 'second' })
  await line(page, 'second').waitFor()
  t.same(await shown(), ['xav · News: second'])
})
