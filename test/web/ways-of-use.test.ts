import type { Page } from 'playwright-core'
import { browserTests, line, row, say } from './browser-tests.ts'

const test = await browserTests()

const overflows = (page: Page): Promise<boolean> =>
  page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth)

test('on a phone: one pane at a time, touch instead of a pointer', async ({ t, confab, open }) => {
  const seed = await confab.connect('finn')
  await seed.ok('create', { c: 'boat', kind: 'group', title: 'Boat', members: ['gus'] })
  await seed.ok('send', { c: 'boat', m: 'm1', text: `https://example.org/${'long'.repeat(60)}` })
  const gus = await confab.connect('gus')
  await gus.ok('send', { c: 'boat', m: 'm2', text: 'She is afloat' })

  const phone = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true }
  const page = await open('finn', phone)
  await line(page, 'Boat').tap()
  await row(page, 'She is afloat').waitFor()
  t.equal(await page.locator('.sidebar').isVisible(), false)
  t.equal(await overflows(page), false, 'the conversation fits')

  await row(page, 'She is afloat').tap()
  await page.getByRole('button', { name: 'React', exact: true }).tap()
  await page.getByRole('button', { name: 'React with 🎉' }).tap()
  await row(page, 'She is afloat').getByRole('button', { name: '🎉 1: finn' }).waitFor()

  await page.locator('#composer').fill('Hurrah')
  await page.locator('#composer').press('Enter')
  t.equal(await page.locator('#composer').inputValue(), 'Hurrah\n', 'Enter starts a line')
  t.equal(await page.locator('#composer').getAttribute('enterkeyhint'), 'enter', 'and the key says so')
  await page.getByRole('button', { name: 'Send' }).tap()
  await row(page, 'Hurrah').waitFor()

  await page.getByRole('button', { name: 'Members' }).tap()
  await page.getByRole('dialog').locator('[data-user=gus]').waitFor()
  t.equal(await overflows(page), false, 'the dialog fits')
  await page.getByRole('button', { name: 'Close' }).tap()
  await page.getByRole('button', { name: 'Back to the list' }).tap()
  await line(page, 'Boat').waitFor()
  t.equal(await page.locator('.room').count(), 0)
  t.equal(await overflows(page), false, 'the list fits')
  await page.goBack()
  await row(page, 'Hurrah').waitFor()
})

test('with the keyboard only', async ({ t, confab, open }) => {
  const hugo = await confab.connect('hugo')
  await hugo.ok('create', { c: 'first', kind: 'group', title: 'First', members: ['ida'] })
  await hugo.ok('create', { c: 'second', kind: 'group', title: 'Second', members: ['ida'] })
  await hugo.ok('send', { c: 'first', m: 'f1', text: 'in the first' })
  await hugo.ok('send', { c: 'second', m: 's1', text: 'in the second' })

  const page = await open(undefined)
  const { keyboard } = page
  await page.locator('input:focus').waitFor()
  await keyboard.type('ida')
  await keyboard.press('Enter')
  await line(page, 'Second').waitFor()

  const focused = (selector: string) => page.locator(`${selector}:focus`).waitFor()
  while ((await page.locator('.conversation:focus').count()) === 0) await keyboard.press('Tab')
  await keyboard.press('ArrowDown')
  await page.locator('.conversation:focus', { hasText: 'First' }).waitFor()
  await keyboard.press('Enter')
  await row(page, 'in the first').waitFor()
  await focused('#composer')
  await keyboard.type('one line')
  await keyboard.press('Shift+Enter')
  await keyboard.type('another')
  await keyboard.press('Enter')
  await row(page, 'one line\nanother').waitFor()

  t.comment('from the box to the messages, and back')
  while ((await page.locator('.message:focus').count()) === 0) await keyboard.press('Shift+Tab')
  await keyboard.press('Home')
  await page.locator('.message:focus', { hasText: 'in the first' }).waitFor()
  await keyboard.press('r')
  await focused('#composer')
  await keyboard.type('an answer')
  await keyboard.press('Enter')
  await row(page, 'an answer')
    .getByRole('button', { name: /hugo in the first/ })
    .waitFor()

  t.comment('a message’s tools, by Tab')
  while ((await page.locator('.message:focus').count()) === 0) await keyboard.press('Shift+Tab')
  await keyboard.press('End')
  await page.locator('.message:focus', { hasText: 'an answer' }).waitFor()
  while ((await page.locator('[aria-label=React]:focus').count()) === 0) await keyboard.press('Tab')
  await keyboard.press('Escape')
  await focused('#composer')

  t.comment('a dialog takes the focus and gives it back')
  await keyboard.press('Control+k')
  await focused('input[type=search]')
  await keyboard.press('Escape')
  await focused('#composer')
})

test('every control and input has an accessible name', async ({ t, confab, open }) => {
  const jill = await confab.connect('jill')
  await jill.ok('create', { c: 'names', kind: 'group', title: 'Names', members: ['kurt'] })
  const page = await open('jill', { c: 'names' })
  await say(page, 'hello')
  await row(page, 'hello').hover()
  for (const dialog of [undefined, 'Members', 'New conversation', 'Search messages']) {
    if (dialog !== undefined) await page.getByRole('button', { name: dialog }).click()
    const tree = await page.locator('body').ariaSnapshot()
    const nameless = tree
      .split('\n')
      .filter(part => /^\s*- (button|textbox|link|combobox|radio|searchbox)\s*(:|$)/.test(part))
    t.same(nameless, [], dialog ?? 'the page')
    if (dialog !== undefined) await page.keyboard.press('Escape')
  }
})

/**
 * Returns the contrast of an element's text with its background, by WCAG 2.2; `hue` for elements with a hue of their
 * own.
 */
const contrast = (page: Page, selector: string, hue?: number): Promise<number> =>
  page
    .locator(selector)
    .first()
    .evaluate((element, degrees) => {
      if (degrees !== undefined) (element as HTMLElement).style.setProperty('--hue', String(degrees))
      const canvas = document.createElement('canvas').getContext('2d')
      const pixel = (color: string): number[] => {
        if (canvas === null) return []
        canvas.clearRect(0, 0, 1, 1)
        canvas.fillStyle = color
        canvas.fillRect(0, 0, 1, 1)
        return [...canvas.getImageData(0, 0, 1, 1).data]
      }
      const luminance = (color: string): number =>
        pixel(color)
          .slice(0, 3)
          .map(value => value / 255)
          .map(value => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
          .reduce((sum, value, i) => sum + value * ([0.2126, 0.7152, 0.0722][i] ?? 0), 0)
      let back: Element | null = element
      while (back !== null && pixel(getComputedStyle(back).backgroundColor)[3] === 0)
        back = back.parentElement
      const [a, b] = [
        luminance(getComputedStyle(element).color),
        luminance(getComputedStyle(back ?? document.body).backgroundColor),
      ]
      return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
    }, hue)

for (const colorScheme of ['light', 'dark'] as const)
  test(`${colorScheme}: text has sufficient contrast`, async ({ t, confab, open }) => {
    const user = `lena-${colorScheme}`
    const c = `colours-${colorScheme}`
    const seed = await confab.connect(user)
    await seed.ok('create', { c, kind: 'group', title: 'Colours', members: ['max'] })
    await seed.ok('send', { c, m: 'm1', text: 'see https://example.org' })
    await seed.ok('edit', { c, m: 'm1', text: 'see https://example.org/x' })
    await seed.ok('react', { c, m: 'm1', emoji: '👌', on: true })
    const page = await open(user, { c, colorScheme })
    await row(page, 'see').waitFor()
    const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor)
    t.equal(Number(background.match(/\d+/)?.[0]) < 80, colorScheme === 'dark', background)
    for (const selector of [
      '.text',
      '.text a',
      '.edited',
      '.name',
      '.byline time',
      '.notice',
      '.day span',
      '.reaction .count',
      '.conversation-last',
      '.conversation-time',
      '.room-title p',
    ]) {
      const ratio = await contrast(page, selector)
      t.ok(ratio >= 4.5, `${selector}: ${ratio.toFixed(2)}`)
    }
    for (let hue = 0; hue < 360; hue += 30) {
      const ratio = await contrast(page, '.message .avatar', hue)
      t.ok(ratio >= 4.5, `initials of hue ${hue}: ${ratio.toFixed(2)}`)
    }
  })

test('with reduced motion nothing moves', async ({ t, open }) => {
  const page = await open('nina', { reducedMotion: 'reduce' })
  await page.getByRole('button', { name: 'New conversation' }).first().click()
  const duration = await page
    .getByRole('dialog')
    .evaluate(dialog => Number.parseFloat(getComputedStyle(dialog).animationDuration))
  t.ok(duration < 0.001, `${duration} s`)
})
