import type { Page } from 'playwright-core'
import { browserTests, line, row, say } from './browser-tests.ts'

const test = await browserTests()

const place = (page: Page, text: string): Promise<number> =>
  row(page, text).evaluate(element => Math.round(element.getBoundingClientRect().top))

const atEnd = (page: Page): Promise<boolean> =>
  page.locator('.timeline').evaluate(e => e.scrollHeight - e.scrollTop - e.clientHeight < 4)

/** Returns the text of the first visible message. */
const topmost = (page: Page): Promise<string> =>
  page.locator('.timeline').evaluate(box => {
    const { top } = box.getBoundingClientRect()
    const rows = [...box.querySelectorAll('.message')]
    return rows.find(r => r.getBoundingClientRect().top >= top)?.querySelector('.text')?.textContent ?? ''
  })

test('scrolling back loads older messages without a jump', async ({ t, confab, open }) => {
  const ada = await confab.connect('ada')
  await ada.ok('create', { c: 'long', kind: 'group', title: 'Long', members: ['bert'] })
  for (let i = 1; i <= 240; i++) await ada.ok('send', { c: 'long', m: `m${i}`, text: `entry ${i}.` })
  const page = await open('ada', { c: 'long' })
  await row(page, 'entry 240.').waitFor()
  t.ok(await atEnd(page), 'it opens at the end')
  const loaded = () => page.locator('.message').count()
  const before = await loaded()
  t.ok(before < 240)

  await page.locator('.timeline').evaluate(box => {
    box.scrollTop = 300
  })
  const anchor = await topmost(page)
  const top = await place(page, anchor)
  await page.waitForFunction(count => document.querySelectorAll('.message').length > count, before)
  t.ok(Math.abs((await place(page, anchor)) - top) <= 1, `“${anchor}” stays where it was`)

  t.comment('a new message does not pull a reader away, but is there for the asking')
  const reading = await topmost(page)
  const readingTop = await place(page, reading)
  const bert = await confab.connect('bert')
  await bert.ok('send', { c: 'long', m: 'new', text: 'brand new' })
  await page.getByRole('button', { name: '1 new' }).waitFor()
  t.ok(Math.abs((await place(page, reading)) - readingTop) <= 1)
  await page.getByRole('button', { name: '1 new' }).click()
  await row(page, 'brand new').waitFor()
  t.ok(await atEnd(page))
  await page.locator('.conversation .badge').waitFor({ state: 'detached' })

  t.comment('at the end, new messages are followed')
  await bert.ok('send', { c: 'long', m: 'newer', text: 'newer still' })
  await row(page, 'newer still').waitFor()
  t.ok(await atEnd(page))

  t.comment('all of it can be reached, each message once and in order')
  while (!(await page.getByText('This is the start of the conversation.').isVisible()))
    await page.locator('.timeline').evaluate(box => {
      box.scrollTop = 0
    })
  const texts = (await page.locator('.message .text').allTextContents()).map(text => text.trim())
  t.same(texts, [...Array.from({ length: 240 }, (_, i) => `entry ${i + 1}.`), 'brand new', 'newer still'])
})

test('a conversation opens at the first unread message, and loads more while scrolling', async ({
  t,
  confab,
  open,
}) => {
  const cleo = await confab.connect('cleo')
  await cleo.ok('create', { c: 'news', kind: 'channel', title: 'News', members: ['dora'] })
  for (let i = 1; i <= 60; i++) await cleo.ok('send', { c: 'news', m: `m${i}`, text: `item ${i}.` })
  const dora = await confab.connect('dora')
  await dora.ok('read', { c: 'news', seq: 21 })
  const page = await open('dora')
  await line(page, 'News').getByText('40 unread').waitFor({ state: 'attached' })
  await line(page, 'News').click()
  await page.locator('[data-unread-line]').waitFor()
  const { top, height } = await page.locator('.timeline').evaluate(box => {
    const line = box.querySelector('[data-unread-line]')
    return {
      top: (line?.getBoundingClientRect().top ?? 0) - box.getBoundingClientRect().top,
      height: box.clientHeight,
    }
  })
  t.ok(top > 0 && top < height / 2, 'the line is in view, in the upper half')
  t.notOk(await atEnd(page))
  await page.waitForFunction(() => {
    const badge = document.querySelector('.conversation .badge [aria-hidden]')?.textContent
    return badge !== undefined && badge !== null && Number(badge) < 40
  })
  await page.locator('.timeline').evaluate(box => {
    box.scrollTop = box.scrollHeight
  })
  await page.locator('.conversation .badge').waitFor({ state: 'detached' })
  await say(page, 'thanks')
  await page.locator('[data-unread-line]').waitFor({ state: 'detached' })
})
