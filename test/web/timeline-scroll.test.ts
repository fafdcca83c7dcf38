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

/** How far the document is scrolled, px: it never is. */
const documentScroll = (page: Page): Promise<number[]> =>
  page.evaluate(() => [
    document.documentElement.scrollTop,
    document.body.scrollTop,
    document.querySelector('.app')?.scrollTop ?? 0,
  ])

test('opening a search hit scrolls the timeline, not the document', async ({ t, confab, open }) => {
  const ella = await confab.connect('ella')
  await ella.ok('create', { c: 'deep', kind: 'group', title: 'Deep', members: [] })
  for (let i = 1; i <= 120; i++) await ella.ok('send', { c: 'deep', m: `m${i}`, text: `line ${i}.` })
  await ella.ok('send', { c: 'deep', m: 'needle', text: 'a needle' })
  for (let i = 1; i <= 4; i++) await ella.ok('send', { c: 'deep', m: `n${i}`, text: `after ${i}.` })
  for (const c of [undefined, 'deep'] as const) {
    const page = await open('ella', c === undefined ? {} : { c })
    if (c !== undefined) await row(page, 'after 4.').waitFor()
    await page.keyboard.press('Control+k')
    await page.getByRole('dialog').getByLabel('Search messages').fill('needle')
    await page.locator('.hit').click()
    await page.locator('.message:focus', { hasText: 'needle' }).waitFor()
    t.same(await documentScroll(page), [0, 0, 0])
    t.equal(await page.locator('.room-header').evaluate(e => e.getBoundingClientRect().top), 0)
    await page.evaluate(() => {
      for (const element of document.querySelectorAll<HTMLElement>('.sr-only, .message'))
        element.scrollIntoView()
    })
    t.same(await documentScroll(page), [0, 0, 0], 'nothing in the page can scroll it')
  }
})

test('a long conversation keeps a bounded number of rows in the document', async ({ t, confab, open }) => {
  const fred = await confab.connect('fred')
  await fred.ok('create', { c: 'endless', kind: 'group', title: 'Endless', members: [] })
  for (let i = 1; i <= 950; i++) await fred.ok('send', { c: 'endless', m: `m${i}`, text: `entry ${i}.` })
  const page = await open('fred', { c: 'endless' })
  await row(page, 'entry 950.').waitFor()
  const seen = new Set<string>()
  let most = 0
  const look = async (): Promise<void> => {
    const texts = await page.locator('.message .text').allTextContents()
    most = Math.max(most, await page.locator('.messages > li').count())
    const numbers = texts.map(text => Number(/\d+/.exec(text)?.[0]))
    if (numbers.some((n, i) => i > 0 && n !== numbers[i - 1]! + 1)) t.fail(`out of order: ${numbers}`)
    for (const text of texts) seen.add(text)
    t.equal(await page.locator('.messages > .day').count(), 1, 'the date is there')
  }
  const scrollTo = (where: 'top' | 'bottom') =>
    page.locator('.timeline').evaluate((box, to) => {
      box.scrollTop = to === 'top' ? 0 : box.scrollHeight
    }, where)
  await look()
  while (!(await page.getByText('This is the start of the conversation.').isVisible())) {
    await scrollTo('top')
    await look()
  }
  t.equal(seen.size, 950, 'each message was shown')
  t.ok(most <= 320, `${most} rows`)
  const start = await topmost(page)
  t.match(start, /^entry 1\./)

  t.comment('and back down, without a jump')
  while (!(await atEnd(page))) {
    await scrollTo('bottom')
    await look()
  }
  t.ok(most <= 320, `${most} rows`)
  await row(page, 'entry 950.').waitFor()
})

test('a quote shows its message, however old it is, and leads to it', async ({ t, confab, open }) => {
  const gina = await confab.connect('gina')
  await gina.ok('create', { c: 'old', kind: 'group', title: 'Old', members: [] })
  await gina.ok('send', { c: 'old', m: 'first', text: 'the very first' })
  for (let i = 1; i <= 400; i++) await gina.ok('send', { c: 'old', m: `m${i}`, text: `entry ${i}.` })
  await gina.ok('send', { c: 'old', m: 'answer', text: 'an answer', replyTo: 'first' })
  await gina.ok('send', { c: 'old', m: 'lost', text: 'to nothing', replyTo: 'never-was' })
  const page = await open('gina', { c: 'old' })
  const quote = row(page, 'an answer').locator('.quote')
  await quote.getByText('the very first').waitFor()
  await row(page, 'to nothing').locator('.quote', { hasText: 'does not exist' }).waitFor()
  await quote.click()
  await page.locator('.message:focus', { hasText: 'the very first' }).waitFor()
  t.equal(await page.locator('.toast').count(), 0)
  await page.getByRole('button', { name: 'Latest' }).click()
  await gina.ok('edit', { c: 'old', m: 'first', text: 'the first, edited' })
  await quote.getByText('the first, edited').waitFor()
  await row(page, 'to nothing').locator('.quote').click()
  await page.getByRole('alert').getByText('This message does not exist.').waitFor()
})
