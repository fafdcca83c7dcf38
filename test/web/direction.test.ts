import type { Locator, Page } from 'playwright-core'
import { browserTests, line, row, say } from './browser-tests.ts'

const test = await browserTests()

const hebrew = 'שלום, מה שלומך? (1)'
const arabic = 'مرحبا بالعالم!'

const directionOf = (element: Locator): Promise<string> =>
  element.evaluate(e => getComputedStyle(e).direction)

/** Whether the first letter of a text is right of its last one. */
const startsRight = (element: Locator): Promise<boolean> =>
  element.evaluate(e => {
    const walker = document.createTreeWalker(e, NodeFilter.SHOW_TEXT)
    const nodes: Text[] = []
    for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) nodes.push(node as Text)
    const edge = (node: Text, at: number): number => {
      const range = document.createRange()
      range.setStart(node, at)
      range.setEnd(node, at + 1)
      return range.getBoundingClientRect().left
    }
    const last = nodes.at(-1)!
    return edge(nodes[0]!, 0) > edge(last, last.length - 1)
  })

const search = async (page: Page, words: string): Promise<Locator> => {
  await page.keyboard.press('Control+k')
  const dialog = page.getByRole('dialog', { name: 'Search' })
  await dialog.getByLabel('Search messages').fill(words)
  await dialog.locator('.hit').first().waitFor()
  return dialog
}

test('Hebrew and Arabic are laid out from right to left, wherever users wrote them', async ({
  t,
  confab,
  open,
}) => {
  const noa = await confab.connect('noa')
  await noa.ok('create', { c: 'rtl', kind: 'group', title: 'חברים (2)', members: ['omar'] })
  await noa.ok('send', { c: 'rtl', m: 'h', text: hebrew })
  await noa.ok('send', { c: 'rtl', m: 'a', text: `${arabic}\nand English` })
  await noa.ok('send', { c: 'rtl', m: 'l', text: 'Latin text' })
  await noa.ok('send', { c: 'rtl', m: 'r', text: `> ${hebrew}\n\n- ${arabic}`, replyTo: 'h' })
  await noa.ok('rename', { c: 'rtl', title: 'חברים (3)' })
  await noa.ok('send', { c: 'rtl', m: 'last', text: hebrew })
  const page = await open('omar', { c: 'rtl' })
  await row(page, 'Latin text').waitFor()
  const right: [string, Locator][] = [
    ['a message', page.locator('[data-m=h] .text')],
    ['a quote', page.locator('[data-m=r] .quote [dir=auto]').last()],
    ['a quoted block', page.locator('[data-m=r] blockquote')],
    ['a list', page.locator('[data-m=r] ul').last()],
    ['the title', page.locator('.room-title h1')],
    ['the name in the list', page.locator('.conversation-name')],
    ['the last message in the list', page.locator('.conversation-text')],
  ]
  for (const [name, element] of right) t.equal(await directionOf(element), 'rtl', name)
  t.ok(await startsRight(page.locator('[data-m=h] .text')))
  t.equal(await directionOf(page.locator('[data-m=l] .text')), 'ltr')
  t.equal(
    await page.locator('.notice bdi').textContent(),
    'חברים (3)',
    'a title does not reorder its sentence',
  )

  await row(page, hebrew).first().hover()
  await page.getByRole('button', { name: 'Reply' }).click()
  t.equal(await directionOf(page.locator('.composing-text')), 'rtl', 'the composing line')
  await page.keyboard.press('Escape')
  await page.locator('#composer').fill('كيف حالك')
  t.equal(await directionOf(page.locator('#composer')), 'rtl', 'the composer')
  await page.locator('#composer').fill('fine')
  t.equal(await directionOf(page.locator('#composer')), 'ltr')
  await say(page, 'fine')

  const dialog = await search(page, 'שלום')
  t.equal(await directionOf(dialog.locator('.hit-text').first()), 'rtl', 'a hit')
  t.equal(await directionOf(dialog.locator('.hit-head .muted[dir]').first()), 'rtl', 'the title of a hit')
  t.equal(await directionOf(dialog.getByLabel('Search messages')), 'rtl', 'the words')
  await page.keyboard.press('Escape')
  await line(page, 'חברים').waitFor()
})

test('everything that a user wrote has a direction of its own', async ({ t, confab, open }) => {
  const marks = ['שם', 'טקסט', 'קובץ']
  const ziv = await confab.connect('ziv')
  await ziv.ok('create', { c: 'marks', kind: 'group', title: marks[0], members: ['yael'] })
  await ziv.ok('send', { c: 'marks', m: 'm1', text: marks[1] })
  await ziv.ok('send', { c: 'marks', m: 'm2', text: `**${marks[1]}**`, replyTo: 'm1' })
  const page = await open('yael', { c: 'marks' })
  await page
    .locator('.composer input[type=file]')
    .setInputFiles([{ name: `${marks[2]}.txt`, mimeType: 'text/plain', buffer: Buffer.from('x') }])
  await page.locator('.chip').waitFor()
  await row(page, marks[1]!).first().hover()
  await page.getByRole('button', { name: 'Reply' }).click()
  const undirected = await page.evaluate(words => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
    const found: string[] = []
    for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
      const { parentElement: parent, textContent: text = '' } = node
      if (words.some(word => text?.includes(word)) && parent?.closest('[dir=auto], bdi') === null)
        found.push(`${parent.tagName}.${parent.className}: ${text}`)
    }
    return found
  }, marks)
  t.same(undirected, [])
})
