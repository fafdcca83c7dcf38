import axe from 'axe-core'
import type { Page } from 'playwright-core'
import { browserTests, line, row } from './browser-tests.ts'

const test = await browserTests()

/** Returns the violations of the page as it is, with the elements that cause them. */
const violations = async (page: Page): Promise<string[]> => {
  await page.evaluate(axe.source)
  return await page.evaluate(async () => {
    const { violations } = await (globalThis as unknown as { axe: typeof axe }).axe.run(document, {
      // Off by default, because it is experimental.
      rules: { 'label-content-name-mismatch': { enabled: true } },
    })
    return violations.flatMap(({ id, impact, nodes }) =>
      nodes.map(({ target }) => `${impact}: ${id}: ${target.join(' ')}`),
    )
  })
}

for (const width of [1280, 390, 320])
  for (const colorScheme of ['light', 'dark'] as const)
    test(`no violations at ${width} pixels, ${colorScheme}`, async ({ t, confab, open }) => {
      const user = `ann-${width}-${colorScheme}`
      const c = `c-${width}-${colorScheme}`
      const ann = await confab.connect(user)
      await ann.ok('create', { c, kind: 'group', title: 'Kitchen', members: ['ben'] })
      await ann.ok('send', { c, m: 'm1', text: 'see https://example.org\n\n- **one**\n- `two`\n\n> three' })
      await ann.ok('react', { c, m: 'm1', emoji: '👍', on: true })
      await ann.ok('send', { c, m: 'm2', text: 'an answer', replyTo: 'm1' })
      const options = { viewport: { width, height: 800 }, colorScheme, reducedMotion: 'reduce' as const }
      const stranger = await open(undefined, options)
      t.same(await violations(stranger), [], 'signing in')
      const page = await open(user, options)
      await line(page, 'Kitchen').waitFor()
      t.same(await violations(page), [], 'the list')
      await page.getByRole('button', { name: 'New conversation' }).first().click()
      t.same(await violations(page), [], 'a new conversation')
      await page.keyboard.press('Escape')
      await line(page, 'Kitchen').click()
      await row(page, 'an answer').hover()
      await page.getByRole('button', { name: 'React', exact: true }).click()
      t.same(await violations(page), [], 'a conversation')
      await page.getByRole('button', { name: 'Members' }).click()
      await page.getByRole('dialog').locator('[data-user=ben]').waitFor()
      t.same(await violations(page), [], 'members')
      await page.getByRole('button', { name: 'Remove ben' }).click()
      t.same(await violations(page), [], 'a question')
      await page.keyboard.press('Escape')
      await page.keyboard.press('Control+k')
      await page.getByRole('dialog').getByLabel('Search messages').fill('answer')
      await page.locator('.hit').waitFor()
      t.same(await violations(page), [], 'search')
    })
