// Whether charts show what is there: with the agent's usual ten seconds, with a minute, and with a silence in between. What is painted
// is read from the picture itself, since a chart of which no point has a neighbour can be blank with all its data.

import assert from 'node:assert/strict';
import { Query } from './harness.mjs';

/** How often each host reports, in seconds. */
const HOSTS = { 'every-ten': 10, 'every-sixty': 60 };
/** Back to then, and without a word in between, in seconds before now. */
const FIRST_S = 960;
const SILENT_S = { from: 220, to: 100 };

/** Writes what two hosts and a container on each would have reported. */
async function report(relay) {
  const now_s = Math.floor(Date.now() / 10_000) * 10;
  const lines = [];
  for (const [host, every_s] of Object.entries(HOSTS)) {
    for (let ago_s = 0; ago_s <= FIRST_S; ago_s += every_s) {
      if (every_s === 10 && ago_s < SILENT_S.from && ago_s > SILENT_S.to) continue;
      const time = `${now_s - ago_s}000000000`;
      const container = `host=${host},container_name=web,container_image=x`;
      lines.push(
        `system,host=${host} load1=1,load5=2,load15=3,n_cpus=4i ${time}`,
        `system,host=${host} uptime=${100_000 - ago_s}i ${time}`,
        `cpu,cpu=cpu-total,host=${host} usage_idle=40,usage_user=10,usage_system=5,usage_nice=15,usage_iowait=5,usage_irq=5,usage_softirq=10,usage_steal=5,usage_guest=3,usage_guest_nice=2 ${time}`,
        `mem,host=${host} used=3000i,cached=2000i,buffered=1000i,available=5000i,total=8000i,used_percent=37.5 ${time}`,
        `docker_container_cpu,${container},cpu=cpu-total usage_percent=50 ${time}`,
        `docker_container_mem,${container} usage=1000i,limit=4000i,usage_percent=25 ${time}`,
      );
    }
  }
  const answer = await fetch(`${relay}/write?db=telegraf`, { method: 'POST', body: lines.join('\n') });
  assert.equal(answer.status, 204);
}

/** The part of a chart's columns, between two parts of its width, in which a line is painted. Axes and grid are grey. */
async function painted(chart, from, to) {
  return chart.evaluate(
    (section, [from, to]) => {
      const canvas = section.querySelector('canvas');
      if (canvas === null) return 0;
      const over = section.querySelector('.u-over').getBoundingClientRect();
      const all = canvas.getBoundingClientRect();
      const ratio = canvas.width / all.width;
      const pixel = (css) => Math.round(css * ratio);
      const [x0, x1] = [from, to].map((part) => pixel(over.left - all.left + part * over.width));
      const { data, width, height } = canvas.getContext('2d').getImageData(x0, 0, x1 - x0, canvas.height);
      const is_coloured = (x, y) => {
        const [r, g, b, a] = data.subarray(4 * (y * width + x));
        return a > 100 && Math.max(r, g, b) - Math.min(r, g, b) > 40;
      };
      let columns = 0;
      for (let x = 0; x < width; x += 1) {
        for (let y = 0; y < height; y += 1) {
          if (!is_coloured(x, y)) continue;
          columns += 1;
          break;
        }
      }
      return columns / width;
    },
    [from, to],
  );
}

/** The charts of hosts and containers, and one of a query, over a store behind `relay`. */
export async function chartsShowWhatIsThere(page, checks, relay) {
  await report(relay);
  const views = {
    Hosts: { row: (host) => host, titles: ['CPU by state', 'Load', 'Memory'] },
    Containers: { row: (host) => `web on ${host}`, titles: ['CPU, percent of a core', 'Memory'] },
  };
  for (const [name, { row, titles }] of Object.entries(views)) {
    await page.getByRole('link', { name, exact: true }).first().click();
    const view = page.locator(`#view-${name.toLowerCase()}`);
    for (const host of Object.keys(HOSTS)) {
      await view.getByRole('button', { name: row(host), exact: true }).click();
      await view.getByRole('heading', { name: row(host), exact: true }).waitFor();
      for (const [label, range_s] of [
        ['5 minutes', 300],
        ['15 minutes', 900],
      ]) {
        await view.getByLabel('Charts of the last').selectOption(label);
        const at = (ago_s) => 1 - ago_s / range_s;
        for (const title of titles) {
          const chart = view.locator('.chart').filter({ has: page.getByRole('heading', { name: title, exact: true }) });
          const what = `${title} of ${row(host)}, ${label}`;
          // The charts of another range may stand there until the answer comes.
          for (const until = Date.now() + 10_000; Date.now() < until; await page.waitForTimeout(100)) {
            if ((await painted(chart, at(280), at(240))) > 0.9 && (await painted(chart, at(200), at(130))) < (HOSTS[host] === 10 ? 0.01 : 2)) break;
          }
          assert.ok((await painted(chart, at(280), at(240))) > 0.9, `${what}: no line before the silence`);
          if (HOSTS[host] === 10) {
            assert.equal(await painted(chart, at(200), at(130)), 0, `${what}: a line over the silence`);
            assert.ok((await painted(chart, at(85), at(40))) > 0.9, `${what}: no line after the silence`);
          } else {
            assert.ok((await painted(chart, at(200), at(130))) > 0.9, `${what}: a gap where nothing was silent`);
          }
        }
      }
      await checks.shot(page, `${name.toLowerCase()}-${host}`, { fullPage: true });
    }
  }
  checks.say('charts of 5 and 15 minutes show data of every 10 s and of every 60 s, and a silence as a gap');

  await page.getByRole('link', { name: 'Query', exact: true }).click();
  await new Query(page).run("SELECT mean(load1) FROM system WHERE host = 'every-sixty' AND time > now() - 15m GROUP BY time(10s)");
  await page.locator('.result-chart summary').click();
  const chart = page.locator('.result-chart .chart');
  await chart.locator('canvas').waitFor();
  assert.ok((await painted(chart, 0.1, 0.9)) > 0.95, 'windows that are narrower than the data draw no line');
  checks.say('so does the chart of a query whose windows are narrower than its data');
}
