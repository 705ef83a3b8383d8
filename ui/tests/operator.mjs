// One look of an operator: opens a page, goes to a view or types a query, and waits for a text.
// Usage: node tests/operator.mjs PAGE_URL SCREENSHOT_FOLDER view:NAME|query:TEXT TEXT SECONDS
// Signs in as admin with TANDEM_ADMIN_PASSWORD where the store asks for it. Ends with 0 when the text shows in time, with 1 and what is there instead otherwise.

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { Query } from './harness.mjs';

const [url, folder, what, text, seconds] = process.argv.slice(2);
if (seconds === undefined) {
  console.error('usage: node tests/operator.mjs PAGE_URL SCREENSHOT_FOLDER view:NAME|query:TEXT TEXT SECONDS');
  process.exit(2);
}
const limit_ms = Number(seconds) * 1_000;
await mkdir(folder, { recursive: true });
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-dev-shm-usage'],
});
const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
page.setDefaultTimeout(limit_ms);
try {
  await page.goto(url);
  const login = page.getByRole('dialog', { name: 'Sign in' });
  await login.or(page.locator('#source option[value=telegraf]')).first().waitFor({ state: 'attached' });
  if (await login.isVisible()) {
    await login.getByLabel('User').fill('admin');
    await login.getByLabel('Password').fill(process.env.TANDEM_ADMIN_PASSWORD ?? '');
    await page.keyboard.press('Enter');
  }
  await page.locator('#source option[value=telegraf]').waitFor({ state: 'attached' });
  await page.getByLabel('Data source').selectOption('telegraf');
  const [kind, words] = [what.slice(0, what.indexOf(':')), what.slice(what.indexOf(':') + 1)];
  if (kind === 'query') {
    await new Query(page).run(words);
    await page.locator('#results').getByText(text).first().waitFor();
  } else {
    await page.getByRole('link', { name: words, exact: true }).first().click();
    await page.locator(`#view-${words.toLowerCase()}`).getByText(text).first().waitFor();
  }
} catch (error) {
  console.error(String(error).split('\n')[0]);
  console.error(await page.locator('main').innerText().catch(() => 'nothing'));
  process.exitCode = 1;
} finally {
  const name = `${new URL(url).port} ${what} ${text}`.replace(/[^\w]+/g, '-').slice(0, 80);
  await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true }).catch(() => undefined);
  await browser.close();
}
