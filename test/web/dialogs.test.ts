import { browserTests } from './browser-tests.ts'

const test = await browserTests()

test('removing a member and making an owner ask first', async ({ t, confab, open }) => {
  const olga = await confab.connect('olga')
  await olga.ok('create', { c: 'garden', kind: 'group', title: 'Garden', members: ['paul', 'quinn'] })
  const page = await open('olga', { c: 'garden' })
  await page.getByRole('button', { name: 'Members' }).click()
  const members = page.getByRole('dialog', { name: 'Members' })
  const paul = members.locator('[data-user=paul]')
  const roleOf = async (user: string): Promise<unknown> => {
    const answer = (await olga.ok('members', { c: 'garden' })) as {
      members: { user: string; role: string }[]
    }
    return answer.members.find(member => member.user === user)?.role
  }
  await members.getByRole('button', { name: 'Remove paul' }).click()
  t.equal(await page.locator(':focus').textContent(), 'Cancel', 'Enter removes no member')
  await page.keyboard.press('Enter')
  await paul.getByText('Remove paul from').waitFor({ state: 'detached' })
  t.equal(await roleOf('paul'), 'member')

  await members.getByLabel('Role of paul').selectOption('owner')
  await paul.getByRole('button', { name: 'Cancel' }).click()
  t.equal(await members.getByLabel('Role of paul').inputValue(), 'member')
  t.equal(await roleOf('paul'), 'member')
  await members.getByLabel('Role of paul').selectOption('owner')
  await paul.getByRole('button', { name: 'Make owner' }).click()
  await page.getByText('You made paul an owner').waitFor({ state: 'attached' })

  await members.getByRole('button', { name: 'Remove quinn' }).click()
  await members.locator('[data-user=quinn]').getByRole('button', { name: 'Remove', exact: true }).click()
  await members.locator('[data-user=quinn]').waitFor({ state: 'detached' })
})

test('a problem in a dialog is reachable there, can be dismissed, and goes away', async ({ t, open }) => {
  const page = await open('rosa')
  await page.clock.install()
  await page.getByRole('button', { name: 'New conversation' }).first().click()
  const dialog = page.getByRole('dialog', { name: 'New conversation' })
  await dialog.getByText('Join', { exact: true }).click()
  await dialog.getByLabel('Channel id').fill('nowhere')
  const join = async (): Promise<void> => {
    await dialog.getByRole('button', { name: 'Join' }).click()
    await dialog.getByRole('alert').waitFor()
  }
  const gone = () => dialog.getByRole('alert').waitFor({ state: 'detached' })
  await join()
  t.equal(await page.locator('.toast:visible').count(), 1, 'once')
  await dialog.getByRole('button', { name: 'Dismiss' }).click()
  await gone()

  await join()
  await dialog.getByRole('button', { name: 'Dismiss' }).focus()
  await page.clock.runFor(60_000)
  t.equal(await dialog.getByRole('alert').count(), 1, 'not while it has the focus')
  await dialog.getByLabel('Channel id').focus()
  await page.clock.runFor(60_000)
  await gone()

  t.comment('a problem that is still shown when the dialog closes moves to the page')
  await join()
  await page.keyboard.press('Escape')
  await page.getByRole('alert').getByRole('button', { name: 'Dismiss' }).click()
  await page.locator('.toast').waitFor({ state: 'detached' })
})

test('a ban asks first; banned users are listed, and a ban is lifted', async ({ t, confab, open }) => {
  const sara = await confab.connect('sara')
  await sara.ok('create', { c: 'club', kind: 'channel', title: 'Club', members: ['tom', 'uma'] })
  await sara.ok('ban', { c: 'club', user: 'vic', until: '2099-01-01T00:00:00Z' })
  const page = await open('sara', { c: 'club' })
  await page.getByRole('button', { name: 'Members' }).click()
  const members = page.getByRole('dialog', { name: 'Members' })
  const banned = members.getByRole('region', { name: 'Banned users' })
  await banned.locator('[data-user=vic]').getByText('2099').waitFor()
  await members.getByRole('button', { name: 'Ban tom' }).click()
  t.equal(await page.locator(':focus').textContent(), 'Cancel', 'Enter bans no member')
  await page.keyboard.press('Enter')
  await members.getByText('Ban tom?').waitFor({ state: 'detached' })
  await members.getByRole('button', { name: 'Ban tom' }).click()
  await members.locator('[data-user=tom]').getByRole('button', { name: 'Ban', exact: true }).click()
  await banned.locator('[data-user=tom]').waitFor()
  t.equal(await members.getByRole('button', { name: 'Remove tom' }).count(), 0)
  await page.getByText('You banned tom').waitFor({ state: 'attached' })
  const tom = await confab.connect('tom')
  t.equal(await tom.code('join', { c: 'club' }), 'BANNED')
  await banned.getByRole('button', { name: 'Unban tom' }).click()
  await banned.locator('[data-user=tom]').waitFor({ state: 'detached' })
  await page.getByText('You lifted the ban of tom').waitFor({ state: 'attached' })
  await tom.ok('join', { c: 'club' })
  const uma = await open('uma', { c: 'club' })
  await uma.getByRole('button', { name: 'Members' }).click()
  await uma.getByRole('dialog').getByText('tom').waitFor()
  t.equal(await uma.getByRole('region', { name: 'Banned users' }).count(), 0)
  await uma.keyboard.press('Escape')
  await sara.ok('ban', { c: 'club', user: 'uma' })
  await uma.getByRole('heading', { name: 'Nothing open' }).waitFor()
  t.equal(await uma.locator('.conversation').count(), 0)
})

test('leaving a conversation asks first', async ({ t, confab, open }) => {
  const nina = await confab.connect('nina')
  await nina.ok('create', { c: 'attic', kind: 'group', title: 'Attic', members: ['omar'] })
  const page = await open('omar', { c: 'attic' })
  await page.getByRole('button', { name: 'Members' }).click()
  const members = page.getByRole('dialog', { name: 'Members' })
  const leave = members.getByRole('button', { name: 'Leave', exact: true })
  const question = members.getByRole('alertdialog', { name: 'Leave the conversation?' })
  await leave.click()
  t.equal(await page.locator(':focus').textContent(), 'Stay', 'Enter leaves nothing')
  await page.keyboard.press('Enter')
  await question.waitFor({ state: 'detached' })
  await leave.click()
  await question.getByRole('button', { name: 'Leave', exact: true }).click()
  await page.getByRole('heading', { name: 'Nothing open' }).waitFor()
  t.equal(await page.locator('.conversation').count(), 0)
  const omar = await confab.connect('omar')
  t.equal(await omar.code('send', { c: 'attic', m: 'm1', text: 'still here' }), 'NOT_FOUND')
})

test('an archived conversation has a note in place of the composer, and is marked in the list', async ({
  t,
  confab,
  open,
}) => {
  const wes = await confab.connect('wes')
  await wes.ok('create', { c: 'shed', kind: 'group', title: 'Shed', members: ['xan'] })
  await wes.ok('send', { c: 'shed', m: 'm1', text: 'the last word' })
  const page = await open('wes', { c: 'shed' })
  const xan = await open('xan', { c: 'shed' })
  await xan.locator('#composer').waitFor()
  await page.getByRole('button', { name: 'Members' }).click()
  await page.getByRole('button', { name: 'Archive', exact: true }).click()
  for (const one of [page, xan]) {
    await one.getByText('Nothing can be posted in it').waitFor({ state: 'attached' })
    t.equal(await one.locator('#composer').count(), 0)
    await one.locator('.conversation', { hasText: ', archived' }).waitFor({ state: 'attached' })
  }
  await xan.getByText('the last word').last().hover()
  t.equal(await xan.getByRole('button', { name: 'Reply' }).count(), 0)
  await page.getByRole('button', { name: 'Open it again' }).click()
  await xan.locator('#composer').waitFor()
  await xan.locator('.conversation', { hasText: ', archived' }).waitFor({ state: 'detached' })
})

test('a hidden direct conversation leaves the list, and returns with a message', async ({
  t,
  confab,
  open,
}) => {
  const yao = await confab.connect('yao')
  const { c } = (await yao.ok('direct', { user: 'zia' })) as { c: string }
  await yao.ok('send', { c, m: 'm1', text: 'hello' })
  const page = await open('zia', { c })
  await page.getByRole('button', { name: 'Members' }).click()
  await page.getByRole('button', { name: 'Hide', exact: true }).click()
  await page.getByRole('heading', { name: 'Nothing open' }).waitFor()
  t.equal(await page.locator('.conversation').count(), 0)
  await page.reload()
  await page.getByText('No conversations yet').waitFor()
  await yao.ok('send', { c, m: 'm2', text: 'are you there?' })
  await page.locator('.conversation', { hasText: 'are you there?' }).waitFor()
  await page.locator('.conversation').click()
  await page.getByRole('button', { name: 'Members' }).click()
  await page.getByRole('button', { name: 'Hide', exact: true }).click()
  await page.getByRole('button', { name: 'New conversation' }).first().click()
  await page.getByLabel('With').fill('yao')
  await page.getByRole('button', { name: 'Start' }).click()
  await page.locator('.conversation', { hasText: 'yao' }).waitFor()
})
