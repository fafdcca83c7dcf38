import type { Page } from 'playwright-core'
import { browserTests, line, row, say } from './browser-tests.ts'

const test = await browserTests()

const box = (page: Page) => page.locator('#composer')
const written = (page: Page): Promise<string> => box(page).inputValue()

test('drafts and reply targets survive a switch and a reload; signing out ends them', async ({
  t,
  confab,
  open,
}) => {
  const seed = await confab.connect('ann')
  for (const c of ['one', 'two']) {
    await seed.ok('create', { c, kind: 'group', title: c, members: ['ben'] })
    await seed.ok('send', { c, m: `${c}-m`, text: `text of ${c}` })
  }
  const page = await open('ann', { c: 'one' })
  await row(page, 'text of one').hover()
  await page.getByRole('button', { name: 'Reply' }).click()
  await box(page).fill('half an answer')
  await line(page, 'two').click()
  await row(page, 'text of two').waitFor()
  t.equal(await written(page), '')
  await box(page).fill('for two')
  await line(page, 'one').click()
  await row(page, 'text of one').waitFor()
  t.equal(await written(page), 'half an answer')
  await page.locator('.composing', { hasText: 'text of one' }).waitFor()

  await page.reload()
  await page.locator('.composing', { hasText: 'text of one' }).waitFor()
  t.equal(await written(page), 'half an answer')
  await line(page, 'two').click()
  await row(page, 'text of two').waitFor()
  t.equal(await written(page), 'for two')
  await line(page, 'one').click()
  await row(page, 'text of one').waitFor()
  await box(page).press('Enter')
  await row(page, 'half an answer')
    .getByRole('button', { name: /ann text of one/ })
    .waitFor()
  await page.reload()
  await row(page, 'half an answer').waitFor()
  t.equal(await written(page), '', 'a sent draft is gone')

  await page.getByRole('button', { name: 'Sign out' }).click()
  t.equal(await page.evaluate(() => Object.keys(localStorage).filter(key => key.includes('draft')).length), 0)
})

test('a refused edit stays in the composer, also after a reload', async ({ t, confab, open }) => {
  const ann = await confab.connect('ann-e')
  const ben = await confab.connect('ben-e')
  await ann.ok('create', { c: 'pair', kind: 'direct', members: ['ben-e'] })
  await ann.ok('send', { c: 'pair', m: 'm1', text: 'first version' })
  const page = await open('ann-e', { c: 'pair' })
  await row(page, 'first version').waitFor()
  await box(page).press('ArrowUp')
  await box(page).fill('second version')
  await ben.ok('block', { user: 'ann-e', on: true })
  await box(page).press('Enter')
  await page.getByText(/^Not saved: /).waitFor()
  t.equal(await written(page), 'second version')
  await page.reload()
  await page.getByText(/^Not saved: /).waitFor()
  t.equal(await written(page), 'second version')
  await ben.ok('block', { user: 'ann-e', on: false })
  await box(page).press('Enter')
  await row(page, 'second version').getByText('(edited)').waitFor()
  t.equal(await written(page), '')
})

test('an edit that is refused while the next message is written waits beside it', async ({
  t,
  confab,
  open,
}) => {
  const ann = await confab.connect('ann-w')
  const ben = await confab.connect('ben-w')
  await ann.ok('create', { c: 'pair-w', kind: 'direct', members: ['ben-w'] })
  await ann.ok('send', { c: 'pair-w', m: 'm1', text: 'first version' })
  await ben.ok('block', { user: 'ann-w', on: true })
  const page = await open('ann-w', { c: 'pair-w' })
  await row(page, 'first version').waitFor()
  await box(page).fill('the next one')
  await row(page, 'first version').hover()
  await page.getByRole('button', { name: 'Edit' }).click()
  await box(page).fill('second version')
  await box(page).press('Enter')
  await page.locator('.is-unsaved', { hasText: 'second version' }).waitFor()
  t.equal(await written(page), 'the next one')
  await page.getByRole('button', { name: 'Edit again' }).click()
  t.equal(await written(page), 'second version')
  await box(page).press('Escape')
  t.equal(await written(page), 'the next one')
})

test('the first key after Reply and Edit reaches the composer', async ({ t, confab, open }) => {
  const ann = await confab.connect('ann-k')
  await ann.ok('create', { c: 'keys', kind: 'group', title: 'Keys', members: [] })
  await ann.ok('send', { c: 'keys', m: 'm1', text: 'question' })
  const page = await open('ann-k', { c: 'keys' })
  await row(page, 'question').hover()
  // The next key may arrive in the same turn as the click.
  const focused = (name: string) =>
    page.getByRole('button', { name }).evaluate(button => {
      ;(button as HTMLElement).click()
      return document.activeElement?.id
    })
  t.equal(await focused('Reply'), 'composer')
  await row(page, 'question').hover()
  t.equal(await focused('Edit'), 'composer')
  await page.keyboard.type('!')
  t.equal(await written(page), 'question!')
  await page.keyboard.press('Enter')
  await say(page, 'an answer')
  await row(page, 'an answer').locator('.quote').waitFor()
  t.pass('the reply target outlives the edit')
})

test('messages of files alone have a name in the list and in quotes', async ({ t, confab, open }) => {
  const ann = await confab.connect('ann-f')
  await ann.ok('create', { c: 'files', kind: 'group', title: 'Files', members: ['ben-f'] })
  const page = await open('ann-f', { c: 'files' })
  const ben = await open('ben-f', { c: 'files' })
  const plan = { name: 'plan.txt', mimeType: 'text/plain', buffer: Buffer.from('a plan') }
  await page.locator('.composer input[type=file]').setInputFiles([plan])
  await page.getByRole('button', { name: 'Send', disabled: false }).click()
  await line(page, 'Files').getByText('📎').waitFor()
  await page.reload()
  await line(page, 'Files').getByText('📎').waitFor()
  await row(ben, 'plan.txt').hover()
  await ben.getByRole('button', { name: 'Reply' }).click()
  await ben.locator('.composing', { hasText: 'plan.txt' }).waitFor()
  await say(ben, 'good')
  await row(page, 'good')
    .getByRole('button', { name: /plan\.txt/ })
    .waitFor()
  t.pass('shown')
})
