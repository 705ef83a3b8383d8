// Drives the page in a headless browser over a running store, as the operations guide's operator does, and checks what
// that person sees. Usage: node tests/browser.mjs PAGE_URL SCREENSHOT_FOLDER [measurement …]
//
// The store's database `telegraf` must hold `cpu` and the named measurements. The test writes nothing but the databases
// `tandem_page_test` and `tandem_page_containers`, which it drops again. The browser is $CHROMIUM or /usr/bin/chromium. Ends with 0 when all checks
// hold, with 1 and the failed check otherwise, within five minutes.

import assert from 'node:assert/strict';
import { inBrowser, Query, rowsOf } from './harness.mjs';

const [url, folder, ...measurements] = process.argv.slice(2);
if (url === undefined || folder === undefined) {
  console.error('usage: node tests/browser.mjs PAGE_URL SCREENSHOT_FOLDER [measurement …]');
  process.exit(2);
}
const host = new URL(url).host;
const WHOLE_MS = 300_000;
/** What the page may weigh as it comes over the network. */
const WEIGHT_BYTES_MAX = 300_000;

const CONTAINERS = 4;

/** Ten minutes of containers as an agent tells of them, of which the last fell silent five minutes ago. */
function containerLines() {
  const now_s = Math.floor(Date.now() / 1_000);
  const lines = [];
  for (let number = 0; number < CONTAINERS; number += 1) {
    const tags = `host=web1,engine_host=web1,container_name=shop-web-${number},container_image=registry.example/shop/web,container_version=1.${number},container_status=running`;
    const last_s = number === CONTAINERS - 1 ? now_s - 310 : now_s;
    for (let at_s = last_s - 600; at_s <= last_s; at_s += 10) {
      const used = (CONTAINERS - number) * 12 + 5 * Math.sin(at_s / 40 + number);
      lines.push(
        `docker_container_cpu,cpu=cpu-total,${tags} usage_percent=${used},usage_total=${Math.round(at_s * used)}i ${at_s}`,
        `docker_container_mem,${tags} usage=${(number + 1) * 40_000_000}i,usage_percent=${10 * (number + 1)},limit=400000000i ${at_s}`,
        `docker_container_net,network=total,${tags} rx_bytes=${at_s * 900}i,tx_bytes=${at_s * 400}i ${at_s}`,
        `docker_container_blkio,device=total,${tags} io_service_bytes_recursive_read=${at_s * 70}i,io_service_bytes_recursive_write=${at_s * 210}i ${at_s}`,
      );
    }
  }
  return lines.join('\n');
}

await inBrowser(folder, WHOLE_MS, async (browser, checks) => {
  const page = await checks.page(browser, [host]);
  const say = (what) => checks.say(what);
  const audit = (what) => checks.audit(page, what);
  const shot = (name) => checks.shot(page, name);
  const results = page.locator('#results');
  const query = new Query(page);
  const run = (text) => query.run(text);
  let weight = 0;
  const network = await page.context().newCDPSession(page);
  await network.send('Network.enable');
  network.on('Network.loadingFinished', ({ encodedDataLength }) => (weight += encodedDataLength));

  await page.goto(url);
  const source = page.getByLabel('Data source');
  await page.locator('#source option[value=telegraf]').waitFor({ state: 'attached' });
  assert.equal(await source.inputValue(), 'telegraf');
  const box = await source.boundingBox();
  assert.ok(box !== null && box.x > 640 && box.y < 100, 'the data source is at the upper right');
  say('telegraf is chosen in the data source drop-down at the upper right');
  assert.ok(await query.focused());
  say('the Query input has the focus');
  assert.ok(weight > 10_000 && weight < WEIGHT_BYTES_MAX, `the page weighs ${weight} bytes`);
  say(`the page weighs ${Math.round(weight / 1_000)} kB as it comes, its first answers included`);
  await shot('start-light');

  await source.selectOption('telegraf');
  // Keys typed at the drop-down are its own; from elsewhere on the page `/` leads to the query.
  await page.getByRole('button', { name: 'Write data' }).focus();
  await page.keyboard.press('/');
  assert.ok(await query.focused());
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
  const head = cpu.getByRole('button', { name: 'usage_user', exact: true });
  await head.click();
  assert.equal(await cpu.locator('th[aria-sort]').getAttribute('aria-sort'), 'ascending');
  const at = heads.indexOf('usage_user');
  const idle = (await rowsOf(cpu)).map((row) => Number(row[at]));
  assert.ok(
    idle.every((value, row) => row === 0 || value >= idle[row - 1]),
    `not in order: ${idle}`,
  );
  await head.click();
  assert.equal(await cpu.locator('th[aria-sort]').getAttribute('aria-sort'), 'descending');
  say('a press on the head of a column puts the rows in order, another one turns it');
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await results.getByRole('button', { name: 'Copy as CSV: cpu' }).click();
  await results.getByText('Copied', { exact: true }).waitFor();
  const csv = (await page.evaluate(() => navigator.clipboard.readText())).trim().split('\r\n');
  assert.equal(csv[0], ['name', ...heads].join(','));
  assert.equal(csv.length, rows.length + 1);
  assert.equal(csv[1].split(',')[1], rows[0][0]);
  say(`copy as CSV gives ${csv.length} lines`);

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

  await query.input.focus();
  await page.keyboard.press('Control+a');
  const offers = page.locator('#query [role=option]');
  const completes = async (typed, offer, whole) => {
    await page.keyboard.type(typed);
    await offers.filter({ hasText: offer }).first().waitFor();
    await page.keyboard.press('Tab');
    await page.waitForFunction(
      (text) => document.querySelector('#query').shadowRoot.querySelector('.cm-content').innerText.replace(/\n$/, '') === text,
      whole,
    );
  };
  await completes('select mean(usage_us', 'usage_user', 'select mean(usage_user');
  await completes(') from cp', /^cpu/, 'select mean(usage_user) from cpu');
  await page.keyboard.type(" where cpu = 'cpu-t");
  await offers.filter({ hasText: 'cpu-total' }).waitFor();
  await shot('completion-light');
  await audit('completion');
  await page.keyboard.press('Tab');
  await completes(' gro', 'GROUP BY', "select mean(usage_user) from cpu where cpu = 'cpu-total' GROUP BY");
  await page.keyboard.type(' host');
  await page.keyboard.press('Enter');
  await results.getByRole('table', { name: /^cpu, host / }).waitFor();
  say('fields, measurements, values of tags and keywords are completed; Enter still runs what stands there');
  await page.keyboard.press('Shift+Enter');
  await page.keyboard.type('limit 1');
  const tall = await page.locator('#query').boundingBox();
  assert.ok(tall.height > 60, `${tall.height} px`);
  await page.keyboard.press('Enter');
  await page.locator('#summary[data-state=done]').waitFor();
  say('Shift+Enter begins a line: the input grows to an editor');

  await run('select usage_user from cpu order by time desc limit 5');
  await page.getByLabel('Time range').selectOption('15m');
  await page.locator('#summary[data-state=done]').waitFor();
  assert.equal(await query.text(), 'select usage_user from cpu WHERE time > now() - 15m order by time desc limit 5');
  say('a time range is written into the query, and it runs');
  const newest = async () => (await rowsOf(cpu))[0]?.[0];
  const then = await newest();
  await page.getByLabel('Run again').selectOption('5');
  const later = Date.now() + 12_000;
  while ((await newest()) === then && Date.now() < later) await page.waitForTimeout(200);
  assert.notEqual(await newest(), then, 'it did not run again');
  await page.getByLabel('Run again').selectOption('0');
  say('a query runs again by itself');

  await run('select from cpu');
  const alert = results.getByRole('alert');
  await alert.waitFor();
  assert.match(await alert.innerText(), /error parsing query: found .*, expected .* at line 1, char \d+/s);
  assert.equal(await alert.locator('mark').innerText(), 'from');
  assert.equal(await page.locator('#query .cm-wrong').innerText(), 'from');
  say("a query that does not parse shows the server's text and marks the place");
  await shot('error-light');
  await page.keyboard.press('End');
  await page.keyboard.type(' ');
  assert.equal(await page.locator('#query .cm-wrong').count(), 0);
  say('the mark goes when the text changes');
  await audit('an error');

  await page.getByRole('link', { name: 'Hosts' }).click();
  const hosts = page.getByRole('table', { name: 'Hosts' });
  await hosts.locator('tbody tr').first().waitFor();
  const first = (await rowsOf(hosts)).find((row) => /^\d+ s ago$/.test(row.at(-1)));
  assert.ok(first !== undefined, 'no host was heard within a minute');
  assert.match(first[1], /%$/);
  await page.getByRole('img', { name: /^CPU by state, last: in all \d.*user \d.*nice \d.*interrupts \d/ }).waitFor();
  await page.getByRole('img', { name: /^Memory, last: used .*B/ }).waitFor();
  await page.getByRole('list', { name: 'Sums of all hosts' }).getByText(/\d hosts?.*, CPU \d.* of \d+ cores \(.* %\), memory \d.* of \d.*B \(.* %\)$/).waitFor();
  say(`the board of hosts lists ${first[0]}, heard ${first.at(-1)}, with charts`);
  await shot('hosts-light');
  await audit('the hosts');
  await page.getByRole('link', { name: 'Containers' }).click();
  await page.locator('#view-containers .note').getByText('No container has reported').waitFor();
  say('the board of containers says when none has reported');
  const ask = async (path, body) => {
    const answer = await fetch(new URL(path, url), { method: 'POST', body });
    assert.ok(answer.ok, `${path}: ${answer.status} ${await answer.text()}`);
  };
  const statement = (text) => ask('/query', new URLSearchParams({ q: text }));
  await statement('CREATE DATABASE tandem_page_containers');
  await ask('/write?db=tandem_page_containers&precision=s', containerLines());
  await page.reload();
  await page.locator('#source option[value=tandem_page_containers]').waitFor({ state: 'attached' });
  await source.selectOption('tandem_page_containers');
  await page.getByRole('link', { name: 'Containers' }).click();
  const containers = page.getByRole('table', { name: 'Containers' });
  await containers.locator('tbody tr').nth(CONTAINERS - 1).waitFor();
  const listed = await rowsOf(containers);
  assert.equal(listed.length, CONTAINERS);
  assert.ok(listed[0][0].startsWith('shop-web-0'), `not the busiest first: ${listed[0]}`);
  const silent = await containers.locator('tbody tr', { hasText: `shop-web-${CONTAINERS - 1}` }).textContent();
  assert.match(silent, /5 min( \d+ s)? ago/);
  const sums = page.getByRole('list', { name: 'Sums of all hosts and of each' });
  await sums.getByText(new RegExp(`^All ${CONTAINERS - 1} containers \\(1 silent, left out\\), CPU \\d.*, memory \\d`)).waitFor();
  say(`the board of containers lists ${listed.length}, the busiest first, and since when one is silent`);
  await checks.shot(page, 'containers-light', { fullPage: true });
  await audit('the containers');
  await source.selectOption('telegraf');
  await statement('DROP DATABASE tandem_page_containers');
  await page.getByRole('link', { name: 'Appliance' }).click();
  await page.locator('#view-appliance .verdict').getByText('All is well').waitFor();
  const chain = page.getByRole('list', { name: 'The way of the data' });
  for (const part of ['Agents', 'Relay', 'primary', 'backup']) await chain.getByRole('heading', { name: part, exact: true }).waitFor();
  await chain.getByText('204', { exact: true }).first().waitFor();
  await page.getByText(/^The same [1-9][\d,]* values on both sides/).waitFor({ timeout: 40_000 });
  await page.getByRole('table', { name: 'Stores' }).getByText('taken').first().waitFor();
  assert.equal(await page.getByRole('table', { name: 'Stores' }).getByText('taken').count(), 2);
  assert.ok((await rowsOf(page.getByRole('table', { name: 'Shards' }))).some((row) => row[1] === 'telegraf.autogen'));
  say('Appliance shows agents, relay and both stores, that all is well, and that the stores hold the same');
  await checks.shot(page, 'appliance-light', { fullPage: true });
  await audit('the appliance');
  await page.getByRole('link', { name: 'Explore' }).click();
  await page.getByRole('button', { name: 'cpu', exact: true }).click();
  const fields = page.getByRole('table', { name: 'Fields' });
  await fields.waitFor();
  assert.ok((await rowsOf(fields)).some(([field, type]) => field === 'usage_user' && type === 'float'));
  const tags = await rowsOf(page.getByRole('table', { name: 'Tags' }));
  assert.ok(tags.some(([key, values]) => key === 'host' && Number(values) >= 1));
  await page.locator('#view-explore').getByText(/^size .* in \d+ files? of \d+ shards?,/).waitFor();
  say('Explore shows the fields and tags of cpu, and what the database takes');
  await shot('explore-light');
  await audit('Explore');
  await page.getByRole('link', { name: 'Last 100 points' }).click();
  assert.match(await query.text(), /^select \* from cpu order by time desc limit 100$/);
  say('a measurement leads back to the Query');

  await page.route('**/query?*held*', () => undefined);
  await query.input.focus();
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

  await query.input.focus();
  await page.keyboard.press('Control+a');
  await page.keyboard.press('Delete');
  const walked = [];
  for (let step = 0; step < 4; step += 1) {
    await page.keyboard.press('ArrowUp');
    walked.push(await query.text());
  }
  assert.deepEqual(walked.slice(0, 3), ['select lost from cpu', 'select held from cpu', 'select from cpu']);
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
  await query.input.focus();
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

  await query.input.focus();
  await run('SHOW MEASUREMENTS');
  await list.getByRole('button', { name: 'cpu', exact: true }).click();
  assert.equal(
    await query.text(),
    'select * from cpu order by time desc limit 100',
  );
  say('a measurement in the list leads to its last 100 points');

  await page.getByRole('button', { name: 'Generate query URL' }).click();
  const generated = await page.getByLabel('The answer, for any HTTP client').inputValue();
  const answer = await (await fetch(generated)).json();
  assert.equal(answer.results[0].series[0].name, 'cpu');
  await page.keyboard.press('Escape');
  say('the generated URL gives the answer to another client');

  await query.input.focus();
  await page.keyboard.press('Enter');
  await cpu.waitFor();
  await page.getByRole('button', { name: 'Switch to dark colours' }).click();
  await shot('points-dark');
  await audit('dark colours');
  for (const view of ['Hosts', 'Containers', 'Explore', 'Appliance']) {
    await page.getByRole('link', { name: view, exact: true }).first().click();
    await page.locator(`#view-${view.toLowerCase()}`).locator('table, .note, .chart').first().waitFor();
    const controls = await checks.walk(page, view);
    say(`${controls} controls of ${view} are reached by Tab`);
    await checks.shot(page, `${view.toLowerCase()}-dark`, { fullPage: true });
    await audit(`${view}, dark`);
  }
  await page.getByRole('link', { name: 'Query', exact: true }).click();
  say(`${await checks.walk(page, 'Query')} controls of Query are reached by Tab`);
  await page.reload();
  assert.equal(await page.locator('html').getAttribute('data-theme'), 'dark');
  say('the colours chosen are kept');
  await page.setViewportSize({ width: 390, height: 844 });
  await query.input.focus();
  await run('SHOW MEASUREMENTS');
  await shot('phone-dark');
  await page.getByRole('button', { name: 'Switch to light colours' }).click();
  await query.input.focus();
  await run('select * from cpu order by time desc limit 100');
  await shot('phone-light');
  await audit('a phone');
  const fits = async (what) => {
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(width <= 390, `${what} is ${width} px wide on a phone of 390 px`);
  };
  await fits('the page');
  for (const view of ['Hosts', 'Explore', 'Appliance']) {
    await page.getByRole('link', { name: view, exact: true }).first().click();
    await page.locator(`#view-${view.toLowerCase()}`).locator('table, .names, .chart').first().waitFor();
    await fits(view);
    await checks.shot(page, `${view.toLowerCase()}-phone`, { fullPage: true });
    await audit(`${view} on a phone`);
  }
  say('on a phone of 390 px nothing stands out of the page');

});
