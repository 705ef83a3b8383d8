// Brings faults about under the page's eyes: a backup is killed and comes back, a host falls silent, a query runs too long, and a
// store wants to know who asks. Usage: node tests/appliance.mjs TANDEM_BINARY SCREENSHOT_FOLDER
//
// Starts two stores, a relay and an agent of its own on free ports, with data in a temporary directory, and ends them by their
// process ids. Ends with 0 when all checks hold, with 1 and the failed check otherwise, within five minutes.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { chartsShowWhatIsThere } from './charts.mjs';
import { inBrowser, Query, rowsOf } from './harness.mjs';

const [binary, folder] = process.argv.slice(2);
if (binary === undefined || folder === undefined) {
  console.error('usage: node tests/appliance.mjs TANDEM_BINARY SCREENSHOT_FOLDER');
  process.exit(2);
}
const WHOLE_MS = 300_000;
/** What is promised to who looks at the page. */
const SEEN_MS = 5_000;
const PATIENCE_MS = 45_000;

const home = await mkdtemp(join(tmpdir(), 'tandem-page-'));
const running = new Set();

/** Starts `tandem`; what it prints is shown if the test fails. */
function start(args, environment = {}) {
  const child = spawn(binary, args, { cwd: home, stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, ...environment } });
  const said = [];
  child.stderr.on('data', (data) => said.push(String(data)));
  child.ended = new Promise((resolve) => child.once('exit', resolve));
  running.add(child);
  child.once('exit', () => running.delete(child));
  child.said = () => said.join('').split('\n').slice(-20).join('\n');
  return child;
}

async function kill(child) {
  child.kill('SIGKILL');
  await child.ended;
}

/** Addresses on loopback that nobody listens on. */
async function free(count) {
  const servers = Array.from({ length: count }, () => createServer());
  await Promise.all(servers.map((server) => new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))));
  const addresses = servers.map((server) => `127.0.0.1:${server.address().port}`);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return addresses;
}

async function answers(address) {
  for (const until = Date.now() + PATIENCE_MS; Date.now() < until; ) {
    const response = await fetch(`http://${address}/ping`).catch(() => undefined);
    if (response?.status === 204) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`no answer from ${address}`);
}

const [primary, page_address, second, second_page, relay, guarded, guarded_page] = await free(7);
const store = (name, api, admin, peer) =>
  start(['store', '--name', name, '--http', api, '--admin', admin, '--relay', `http://${relay}`, '--peer', `http://${peer}`, '--data-dir', name], {
    TANDEM_STORE_MONITOR_STORE_INTERVAL: '1s',
  });

try {
  await inBrowser(folder, WHOLE_MS, async (browser, checks) => {
    store('monitoring-server', primary, page_address, second);
    let backup = store('monitoring-server-backup', second, second_page, primary);
    await Promise.all([answers(primary), answers(second)]);
    start(['relay', '--http', relay, '--backend', `primary=http://${primary}`, '--backend', `backup=http://${second}`, '--data-dir', 'relay']);
    await answers(relay);
    start(['agent', '--relay', `http://${relay}`, '--interval', '1s', '--data-dir', 'agent']);

    const page = await checks.page(browser, [page_address, guarded_page]);
    await page.goto(`http://${page_address}/#/appliance`);
    const verdict = page.locator('#view-appliance .verdict');
    const chain = page.getByRole('list', { name: 'The way of the data' });
    await verdict.getByText('All is well').waitFor({ timeout: PATIENCE_MS });
    await chain.getByText('all report').waitFor({ timeout: PATIENCE_MS });
    checks.say('all is well while all is well');

    await kill(backup);
    const killed = Date.now();
    const troubles = page.getByRole('list', { name: 'What needs a look' });
    await troubles.getByText(`The store http://${second} does not answer`).waitFor({ timeout: SEEN_MS });
    const seen = Date.now() - killed;
    await chain.getByText('away: its queue takes all').waitFor({ timeout: SEEN_MS });
    await verdict.getByText(/needs? a look/).waitFor();
    checks.say(`a killed backup is told after ${seen} ms, by the relay too after ${Date.now() - killed} ms`);
    await checks.shot(page, 'backup-killed-light', { fullPage: true });
    await checks.audit(page, 'the appliance with a fault');
    backup = store('monitoring-server-backup', second, second_page, primary);
    await verdict.getByText('All is well').waitFor({ timeout: PATIENCE_MS });
    await chain.getByText('live').nth(1).waitFor();
    checks.say('the page heals by itself when the backup is back');
    await page.getByText(/^The same [1-9][\d,]* values on both sides/).waitFor({ timeout: PATIENCE_MS });
    checks.say('and the stores hold the same');

    // Behind the relay's back, older than what is left to settle.
    const alone = (method, text) => fetch(`http://${primary}/${method}`, { method: 'POST', body: text });
    await alone('write?db=telegraf', `foo v=1 ${Date.now() - 60_000}000000`);
    await troubles.getByText('1 measurement differs in telegraf (foo)').waitFor({ timeout: PATIENCE_MS });
    await verdict.getByText('One thing needs a look').waitFor();
    await page.getByText(/^1 measurement differs, in telegraf/).waitFor();
    await checks.shot(page, 'different-light', { fullPage: true });
    await alone(`query?db=telegraf&q=${encodeURIComponent('DROP MEASUREMENT foo')}`, '');
    await verdict.getByText('All is well').waitFor({ timeout: PATIENCE_MS });
    checks.say('stores that differ are told, and are no appliance that is well');

    await fetch(`http://${relay}/write?db=telegraf`, {
      method: 'POST',
      body: `system,host=silent-one load1=1,n_cpus=2i ${Date.now() - 300_000}000000\n`,
    });
    await page.getByRole('link', { name: 'Hosts', exact: true }).first().click();
    const hosts = page.getByRole('table', { name: 'Hosts' });
    const row = hosts.getByRole('row', { name: /silent-one/ });
    await row.getByText(/^silent, 5 min/).waitFor();
    await page.locator('#view-hosts .board-state').getByText('2 hosts, 1 silent').waitFor();
    assert.equal((await rowsOf(hosts))[0][0], 'silent-one', 'silent hosts come first');
    assert.ok((await rowsOf(hosts)).some(([name, , , , , , last]) => name === hostname() && /^\d+ s ago$/.test(last)));
    checks.say('a silent host is flagged, since when, before the others');
    await checks.shot(page, 'silent-light');
    await checks.audit(page, 'a silent host');

    // Its windows would take hours.
    const endless = 'SELECT count(load1) FROM system WHERE time >= 0 AND time < 9000000000s GROUP BY time(1s) fill(0)';
    const asked = fetch(`http://${primary}/query?chunked=true&db=telegraf&q=${encodeURIComponent(endless)}`).then(async (response) => {
      let end = '';
      for await (const chunk of response.body) end = (end + Buffer.from(chunk).toString()).slice(-300);
      return end;
    });
    await page.getByRole('link', { name: 'Appliance', exact: true }).click();
    await troubles.getByText('1 of 2 hosts is silent').waitFor({ timeout: PATIENCE_MS });
    await verdict.getByText('One thing needs a look').waitFor();
    checks.say('the appliance is not called well while a host is silent');
    const queries = page.getByRole('table', { name: 'Running queries' });
    await queries.getByText(/^SELECT count\(load1\)/).waitFor();
    await checks.shot(page, 'running-light', { fullPage: true });
    await page.waitForTimeout(1_100);
    // The page's own questions may be among those that run.
    await queries.getByRole('row', { name: /count\(load1\)/ }).getByRole('button', { name: /^Kill query/ }).click();
    assert.match(await asked, /query interrupted/);
    await page.getByText('No query runs at the moment.').waitFor();
    await page.getByRole('table', { name: 'Slow queries' }).getByText(/^SELECT count\(load1\)/).waitFor();
    checks.say('a query that runs is ended by its button, and is listed as slow then');

    await chartsShowWhatIsThere(page, checks, `http://${relay}`);

    start(['store', '--http', guarded, '--admin', guarded_page, '--data-dir', 'guarded'], {
      TANDEM_STORE_AUTH_ENABLED: 'true',
      TANDEM_STORE_ADMIN_USER: 'root',
      TANDEM_STORE_ADMIN_PASSWORD: 'näh "1"',
    });
    await answers(guarded);
    await page.goto(`http://${guarded_page}/`);
    const login = page.getByRole('dialog', { name: 'Sign in' });
    await login.waitFor();
    await checks.shot(page, 'login-light');
    await checks.audit(page, 'signing in');
    await login.getByLabel('User').fill('root');
    await login.getByLabel('Password').fill('wrong');
    await page.keyboard.press('Enter');
    await login.getByText('This name or password is wrong.').waitFor();
    await login.getByLabel('Password').fill('näh "1"');
    await page.keyboard.press('Enter');
    await page.locator('#source option[value=telegraf]').waitFor({ state: 'attached' });
    await login.waitFor({ state: 'hidden' });
    const query = new Query(page);
    await query.run('SHOW USERS');
    await page.locator('#results').getByText('root').waitFor();
    await page.getByRole('link', { name: 'Appliance', exact: true }).click();
    await page.getByRole('table', { name: 'Stores' }).waitFor();
    checks.say('a store that wants to know who asks is signed in to, in the second attempt');
    for (const width of [1_440, 1_280, 1_024, 760, 390, 320]) {
      await page.setViewportSize({ width, height: 844 });
      await checks.strip(page, `the strip at the top, ${width} px wide`);
      if (width === 1_280 || width === 390) await checks.shot(page, `signed-in-${width}-light`);
    }
    await checks.audit(page, 'signed in, on a phone');
    await page.setViewportSize({ width: 1_280, height: 860 });
    checks.say('with somebody signed in, nothing at the top is over another, on a phone neither');
    await page.getByRole('button', { name: 'Sign out root' }).click();
    await login.waitFor();
    const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
    assert.ok(!/root|SHOW|n\\?u00e4h|näh/.test(kept), kept);
    assert.ok(!(await page.content()).includes('root'), 'the page still knows the user');
    await page.keyboard.press('Escape');
    await query.input.focus();
    await page.keyboard.press('ArrowUp');
    assert.ok(!(await query.text()).includes('USERS'), 'the history is still there');
    checks.say('nothing is kept in the page after signing out');
  });
} finally {
  const left = [...running];
  if (process.exitCode === 1) for (const child of left) console.error(`-- ${child.spawnargs.slice(1, 4).join(' ')}\n${child.said()}`);
  await Promise.all(left.map(kill));
  await rm(home, { recursive: true, force: true });
}
