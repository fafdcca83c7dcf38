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
