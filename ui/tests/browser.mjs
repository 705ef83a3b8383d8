// Drives the page in a headless browser over a running store, as the operations guide's operator does, and checks what
// that person sees. Usage: node tests/browser.mjs PAGE_URL SCREENSHOT_FOLDER [measurement …]
//
// The store's database `telegraf` must hold `cpu` and the named measurements. The test writes nothing but the database
// `tandem_page_test`, which it drops again. The browser is $CHROMIUM or /usr/bin/chromium. Ends with 0 when all checks
// hold, with 1 and the failed check otherwise, within 90 s.

import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [url, folder, ...measurements] = process.argv.slice(2);
if (url === undefined || folder === undefined) {
  console.error('usage: node tests/browser.mjs PAGE_URL SCREENSHOT_FOLDER [measurement …]');
  process.exit(2);
}
const host = new URL(url).host;
const STEP_MS = 10_000;
const WHOLE_MS = 90_000;

setTimeout(() => {
  console.error(`not done within ${WHOLE_MS / 1_000} s`);
  process.exit(1);
}, WHOLE_MS).unref();

await mkdir(folder, { recursive: true });
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-dev-shm-usage'],
});

let checks = 0;
const say = (what) => {
  checks += 1;
  console.log(`ok  ${what}`);
};

try {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, colorScheme: 'light' });
  context.setDefaultTimeout(STEP_MS);
  const page = await context.newPage();
  const complaints = [];
  const strangers = [];
  page.on('console', (message) => {
    // A refused query is a 4xx, which the browser logs by itself; everything else is a complaint of the page.
    if (message.type() === 'error' && !/Failed to load resource/.test(message.text())) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('request', (request) => {
    if (new URL(request.url()).host !== host) strangers.push(request.url());
  });
  const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  /** What an audit of accessibility finds wrong with the page as it is. */
  const audit = async (what) => {
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => globalThis.axe.run());
    const told = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`);
    assert.deepEqual(told, [], what);
    audited.push(what);
  };
  const audited = [];
  const shot = (name) => page.screenshot({ path: join(folder, `${name}.png`) });
  const results = page.locator('#results');
  const run = async (text) => {
    await page.keyboard.press('Control+a');
    await page.keyboard.type(text);
    await page.keyboard.press('Enter');
    await page.locator('#summary:is([data-state=done], [data-state=failed])').filter({ hasText: ' · ' }).waitFor();
  };
  /** The rows of a table as texts. */
  const rowsOf = (table) =>
    table.locator('tbody tr').evaluateAll((rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent)));

  await page.goto(url);
  const source = page.getByLabel('Data source');
  await page.locator('#source option[value=telegraf]').waitFor({ state: 'attached' });
  assert.equal(await source.inputValue(), 'telegraf');
  const box = await source.boundingBox();
  assert.ok(box !== null && box.x > 640 && box.y < 100, 'the data source is at the upper right');
  say('telegraf is chosen in the data source drop-down at the upper right');
  assert.ok(await page.getByLabel('Query', { exact: true }).evaluate((input) => input === document.activeElement));
  say('the Query input has the focus');
  await shot('start-light');

  await source.selectOption('telegraf');
  // Keys typed at the drop-down are its own; from elsewhere on the page `/` leads to the query.
  await page.getByRole('button', { name: 'Write data' }).focus();
  await page.keyboard.press('/');
  assert.ok(await page.getByLabel('Query', { exact: true }).evaluate((input) => input === document.activeElement));
  say('the key / leads to the Query input');

  await run('SHOW MEASUREMENTS');
  const list = results.getByRole('table', { name: 'measurements' });
  await list.waitFor();
  const names = (await rowsOf(list)).map(([name]) => name);
  for (const name of ['cpu', ...measurements]) assert.ok(names.includes(name), `${name} is missing in ${names}`);
  say(`SHOW MEASUREMENTS lists ${names.join(', ')}`);
  await shot('measurements-light');

  await run('select * from cpu order by time desc limit 100');
  const cpu = results.getByRole('table', { name: 'cpu' });
  await cpu.waitFor();
  const heads = await cpu.locator('thead th').allTextContents();
  assert.equal(heads[0], 'time');
  const rows = await rowsOf(cpu);
  assert.ok(rows.length > 0 && rows.length <= 100);
  const times = rows.map(([time]) => Date.parse(time));
  assert.ok(
    times.every((time, at) => at === 0 || time <= times[at - 1]),
    'newest first',
  );
  say(`select * from cpu … limit 100 gives ${rows.length} rows of ${heads.length} columns, newest first`);
  await shot('points-light');
  await audit('a table');

  await run('select mean(usage_user) from cpu group by cpu; show databases');
  assert.ok((await results.getByRole('table').count()) >= 2);
  assert.ok((await results.locator('.tags').count()) >= 1);
  say('two statements give their results in order, a series each with its tags');
  await shot('statements-light');

  await run('select mean(usage_user) from cpu where time > now() - 1m group by time(1s) fill(none)');
  await results.locator('summary', { hasText: 'Chart' }).click();
  await results.getByRole('img', { name: /last: cpu mean/ }).waitFor();
  assert.ok((await results.locator('canvas').count()) === 1);
  say('numbers over time can be drawn');
  await shot('chart-light');
  await audit('a chart');
  await page.keyboard.press('/');

  await run('select from cpu');
  const alert = results.getByRole('alert');
  await alert.waitFor();
  assert.match(await alert.innerText(), /error parsing query: found .*, expected .* at line 1, char \d+/s);
  assert.equal(await alert.locator('mark').innerText(), 'from');
  say("a query that does not parse shows the server's text and marks the place");
  await shot('error-light');
  await audit('an error');

  await page.getByRole('link', { name: 'Hosts' }).click();
  const hosts = page.getByRole('table', { name: 'Hosts' });
  await hosts.locator('tbody tr').first().waitFor();
  const first = (await rowsOf(hosts)).find((row) => /^\d+ s ago$/.test(row.at(-1)));
  assert.ok(first !== undefined, 'no host was heard within a minute');
  assert.match(first[1], /%$/);
  await page.getByRole('img', { name: /^CPU by state, last: user \d/ }).waitFor();
  await page.getByRole('img', { name: /^Memory, last: used .*B/ }).waitFor();
  say(`the board of hosts lists ${first[0]}, heard ${first.at(-1)}, with charts`);
  await shot('hosts-light');
  await audit('the hosts');
  await page.getByRole('link', { name: 'Containers' }).click();
  await page.locator('#view-containers .note, #view-containers tbody tr').first().waitFor();
  await shot('containers-light');
  await audit('the containers');
  await page.getByRole('link', { name: 'Explore' }).click();
  await page.getByRole('button', { name: 'cpu', exact: true }).click();
  const fields = page.getByRole('table', { name: 'Fields' });
  await fields.waitFor();
  assert.ok((await rowsOf(fields)).some(([field, type]) => field === 'usage_user' && type === 'float'));
  const tags = await rowsOf(page.getByRole('table', { name: 'Tags' }));
  assert.ok(tags.some(([key, values]) => key === 'host' && Number(values) >= 1));
  say('Explore shows the fields and tags of cpu');
  await shot('explore-light');
  await audit('Explore');
  await page.getByRole('link', { name: 'Last 100 points' }).click();
  assert.match(await page.getByLabel('Query', { exact: true }).inputValue(), /^select \* from cpu order by time desc limit 100$/);
  say('a measurement leads back to the Query');

  await page.route('**/query?*held*', () => undefined);
  await page.keyboard.press('Control+a');
  await page.keyboard.type('select held from cpu');
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Cancel' }).waitFor();
  await page.keyboard.press('Escape');
  await page.locator('#summary').getByText('Cancelled').waitFor();
  await page.unroute('**/query?*held*');
  say('a query that is not answered is cancelled by Escape');

  await page.route('**/query?*', (route) => route.abort());
  await run('select lost from cpu');
  await results.getByRole('alert').getByText(`No answer from ${host}`).waitFor();
  await page.locator('#standing').getByText('does not answer').waitFor();
  await page.unroute('**/query?*');
  await page.locator('#standing').getByText('does not answer').waitFor({ state: 'detached' });
  assert.equal(await source.inputValue(), 'telegraf');
  say('a store that does not answer is told as such, and the page heals by itself');

  for (let step = 0; step < 4; step += 1) await page.keyboard.press('ArrowUp');
  assert.equal(
    await page.getByLabel('Query', { exact: true }).inputValue(),
    'select mean(usage_user) from cpu where time > now() - 1m group by time(1s) fill(none)',
  );
  say('Up walks the history');

  await run('CREATE DATABASE tandem_page_test');
  await results.getByText('Success! (no results to display)').waitFor();
  await page.locator('#source option[value=tandem_page_test]').waitFor({ state: 'attached' });
  say('CREATE DATABASE succeeds and the new database is offered');
  await source.selectOption('tandem_page_test');
  await page.getByRole('button', { name: 'Write data' }).click();
  await page
    .getByLabel('Line protocol')
    .fill('page,kind=test whole=9007199254740993i,text="<b>&",empty="" 1000000001\npage,kind=test real=0.5 1000000002');
  await page.getByRole('button', { name: 'Write', exact: true }).click();
  await page.locator('#write-said').getByText('Written in').waitFor();
  await page.getByLabel('Line protocol').fill('page,kind=test whole=');
  await page.getByRole('button', { name: 'Write', exact: true }).click();
  await page.locator('#write-said').getByText('unable to parse').waitFor();
  say('the write dialog writes lines and shows why others are refused');
  await shot('write-light');
  await audit('the write dialog');
  await page.keyboard.press('Escape');
  await page.getByLabel('Query', { exact: true }).focus();
  await run('select whole, text, empty, real from page');
  assert.deepEqual(await rowsOf(results.getByRole('table', { name: 'page' })), [
    ['1970-01-01T00:00:01.000000001Z', '9007199254740993', '<b>&', '""', '–'],
    ['1970-01-01T00:00:01.000000002Z', '–', '–', '–', '0.5'],
  ]);
  say('whole numbers past 2^53, nanoseconds, markup in text, empty text and nulls are shown exactly');
  await run('DROP DATABASE tandem_page_test');
  await page.locator('#source option[value=tandem_page_test]').waitFor({ state: 'detached' });
  assert.equal(await source.inputValue(), 'telegraf');
  say('DROP DATABASE takes it out of the drop-down, and telegraf is chosen again');

  await page.getByLabel('Query', { exact: true }).focus();
  await run('SHOW MEASUREMENTS');
  await list.getByRole('button', { name: 'cpu', exact: true }).click();
  assert.equal(
    await page.getByLabel('Query', { exact: true }).inputValue(),
    'select * from cpu order by time desc limit 100',
  );
  say('a measurement in the list leads to its last 100 points');

  await page.getByRole('button', { name: 'Generate query URL' }).click();
  const generated = await page.getByLabel('The answer, for any HTTP client').inputValue();
  const answer = await (await fetch(generated)).json();
  assert.equal(answer.results[0].series[0].name, 'cpu');
  await page.keyboard.press('Escape');
  say('the generated URL gives the answer to another client');

  await page.getByLabel('Query', { exact: true }).focus();
  await page.keyboard.press('Enter');
  await cpu.waitFor();
  await page.getByRole('button', { name: 'Switch to dark colours' }).click();
  await shot('points-dark');
  await audit('dark colours');
  await page.reload();
  assert.equal(await page.locator('html').getAttribute('data-theme'), 'dark');
  say('the colours chosen are kept');
  await page.setViewportSize({ width: 390, height: 844 });
  await page.getByLabel('Query', { exact: true }).focus();
  await run('SHOW MEASUREMENTS');
  await shot('phone-dark');
  await page.getByRole('button', { name: 'Switch to light colours' }).click();
  await page.getByLabel('Query', { exact: true }).focus();
  await run('select * from cpu order by time desc limit 100');
  await shot('phone-light');
  await audit('a phone');
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(width <= 390, `the page is ${width} px wide on a phone of 390 px`);
  say('on a phone of 390 px nothing stands out of the page');

  assert.deepEqual(strangers, []);
  say('no request left for another host');
  say(`accessible by the audit of axe: ${audited.join(', ')}`);
  assert.deepEqual(complaints, []);
  say('the browser had nothing to complain of (errors, content security policy)');
  console.log(`${checks} checks hold; screenshots are in ${folder}`);
} catch (error) {
  for (const page of browser.contexts().flatMap((context) => context.pages())) {
    await page.screenshot({ path: join(folder, 'failed.png') }).catch(() => undefined);
  }
  console.error(`failed after ${checks} checks: ${error instanceof Error ? error.stack : error}`);
  process.exitCode = 1;
} finally {
  await browser.close();
}
