// What the browser tests share: a headless browser that notes complaints and strangers, checks that are counted, audits of
// accessibility, and a walk by Tab. A check that holds is a line `ok  WHAT`; the first that does not ends the test.

import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const STEP_MS = 15_000;
/** Presses of Tab at most on one view. */
const TABS_MAX = 400;

/** Runs `test` with a browser; exit code 1 when a check does not hold, or not within `whole_ms`. */
export async function inBrowser(folder, whole_ms, test) {
  setTimeout(() => {
    console.error(`not done within ${whole_ms / 1_000} s`);
    process.exit(1);
  }, whole_ms).unref();
  await mkdir(folder, { recursive: true });
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-dev-shm-usage'],
  });
  const checks = new Checks(folder);
  try {
    await test(browser, checks);
    assert.deepEqual(checks.strangers, []);
    checks.say('no request left for another host');
    checks.say(`accessible by the audit of axe: ${checks.audited.join(', ')}`);
    assert.deepEqual(checks.complaints, []);
    checks.say('the browser had nothing to complain of (errors, content security policy)');
    console.log(`${checks.count} checks hold; screenshots are in ${folder}`);
  } catch (error) {
    for (const page of browser.contexts().flatMap((context) => context.pages())) {
      await page.screenshot({ path: join(folder, 'failed.png') }).catch(() => undefined);
    }
    console.error(`failed after ${checks.count} checks: ${error instanceof Error ? error.stack : error}`);
    process.exitCode = 1;
  } finally {
    await browser.close();
  }
}

class Checks {
  count = 0;
  complaints = [];
  strangers = [];
  audited = [];

  constructor(folder) {
    this.folder = folder;
  }

  say(what) {
    this.count += 1;
    console.log(`ok  ${what}`);
  }

  /** A new page for one of the hosts that are known. */
  async page(browser, hosts, options = {}) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, colorScheme: 'light', ...options });
    context.setDefaultTimeout(STEP_MS);
    const page = await context.newPage();
    page.on('console', (message) => {
      // A refused query is a 4xx, which the browser logs by itself; everything else is a complaint of the page.
      if (message.type() === 'error' && !/Failed to load resource/.test(message.text())) this.complaints.push(message.text());
    });
    page.on('pageerror', (error) => this.complaints.push(String(error)));
    page.on('request', (request) => {
      const url = new URL(request.url());
      if (url.protocol !== 'blob:' && !hosts.includes(url.host)) this.strangers.push(request.url());
    });
    return page;
  }

  shot(page, name, options = {}) {
    return page.screenshot({ path: join(this.folder, `${name}.png`), ...options });
  }

  /** What an audit of accessibility finds wrong with the page as it is. */
  async audit(page, what) {
    this.axe ??= await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
    await page.evaluate(this.axe);
    const { violations } = await page.evaluate(() => globalThis.axe.run());
    const told = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`);
    assert.deepEqual(told, [], what);
    this.audited.push(what);
  }

  /** That the parts of the strip at the top stand apart from one another and inside the page, with the data source in the first row. */
  async strip(page, what) {
    const wrong = await page.evaluate(() => {
      const seen = (element) => element.checkVisibility() && element.textContent.trim() + element.id !== '';
      const leaves = [...document.querySelectorAll('.top :is(h1, a, .standing span:last-child, button, label, select)')].filter(seen);
      const boxes = leaves.map((element) => {
        const { left, top, right, bottom } = element.getBoundingClientRect();
        return { name: element.id || element.textContent.trim(), left, top, right, bottom };
      });
      const wrong = boxes.filter((box) => box.left < 0 || box.right > document.documentElement.clientWidth).map(({ name }) => `${name} stands out`);
      for (const [at, a] of boxes.entries()) {
        for (const b of boxes.slice(at + 1)) {
          const is_over = a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
          if (is_over) wrong.push(`${a.name} is over ${b.name}`);
        }
      }
      const [brand, source] = ['.brand', '#source'].map((name) => document.querySelector(name).getBoundingClientRect());
      if (source.top >= brand.bottom) wrong.push('the data source is below the first row');
      if (source.right < document.documentElement.clientWidth - 24) wrong.push('the data source is not at the right');
      return wrong;
    });
    assert.deepEqual(wrong, [], what);
  }

  /** Walks the page by Tab, and says which controls were not reached. A control is known by its words: views draw themselves again. */
  async walk(page, what) {
    const wanted = await page.evaluate(() => {
      document.activeElement?.blur();
      globalThis.controlKey = (element) =>
        element === null ? '' : `${element.tagName} ${element.id} ${element.getAttribute('aria-label') ?? element.textContent.trim().slice(0, 60)}`;
      const seen = (element) => element.checkVisibility({ visibilityProperty: true }) && !element.disabled;
      const all = [...document.querySelectorAll('a[href], button, input, select, summary, textarea, #query')].filter(seen);
      return [...new Set(all.map(globalThis.controlKey))];
    });
    const reached = new Set();
    const missed = () => wanted.filter((key) => !reached.has(key));
    for (let press = 0; press < TABS_MAX && missed().length > 0; press += 1) {
      await page.keyboard.press('Tab');
      reached.add(await page.evaluate(() => globalThis.controlKey(document.activeElement)));
    }
    assert.deepEqual(missed(), [], `${what}: not reached by Tab`);
    assert.ok(wanted.length > 5, `${what}: ${wanted.length} controls`);
    return wanted.length;
  }
}

/** The rows of a table as texts. */
export function rowsOf(table) {
  return table.locator('tbody tr').evaluateAll((rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent)));
}

/** The Query input of a page. */
export class Query {
  constructor(page) {
    this.page = page;
    this.input = page.getByLabel('Query', { exact: true });
  }

  async text() {
    return (await this.input.innerText()).replace(/\n$/, '');
  }

  async focused() {
    return this.page.evaluate(() => document.activeElement?.id === 'query');
  }

  /** Types a query and presses Enter, as a person does. */
  async run(text) {
    await this.input.focus();
    await this.page.keyboard.press('Control+a');
    await this.page.keyboard.type(text);
    const before = await this.page.locator('#summary').textContent();
    await this.page.evaluate(() => (document.querySelector('#summary').textContent = ''));
    await this.page.keyboard.press('Enter');
    await this.page.locator('#summary:is([data-state=done], [data-state=failed])').filter({ hasText: ' · ' }).waitFor();
    return before;
  }
}
