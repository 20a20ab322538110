// What must the server know about a client? How far predictions are off, and which volunteers a
// plan takes, when it knows the declared memory only; with pings; with the speed that a probe would
// have told; and with every real step. And what knowing costs.
//
//   node experiments/knowledge/run.mjs [--short]
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {parseArgs} from 'node:util';

import {Swarm, packStoryteller, shoal} from '../../bench/swarm/swarm.mjs';
import {oneStream} from '../lib/load.mjs';
import {Report} from '../lib/report.mjs';

const {values: flags} = parseArgs({options: {short: {type: 'boolean', default: false}}});
const networks = flags.short ? [[5, 5]] : [[1, 1], [5, 5], [20, 20], [5, 50], [1, 5, 20]];
const count = flags.short ? 16 : 32;
const settleMs = 11_000;  // The coordinator has pinged and predicted by then.
const pack = await packStoryteller('q4');

// Milliseconds a token that `shoal plan` expects of devices.
async function planned(stages, devices) {
  const file = path.join(os.tmpdir(), `shoal-devices-${process.pid}.json`);
  fs.writeFileSync(file, JSON.stringify({stages_min: stages, devices}));
  const out = await shoal('plan', pack, '--devices', file);
  fs.rmSync(file);
  return Number(/then ([\d.]+) ms a token/.exec(out)[1]);
}

async function open(delays, stages) {
  const swarm = await Swarm.start(pack, '--stages', String(stages));
  const links = [];
  for (const delay of delays) {
    links.push(await swarm.link('--delay', `${delay}ms`));
    await swarm.join(links.at(-1).url);
  }
  await swarm.untilReady(delays.length);
  return {swarm, links};
}

async function predictions(delays) {
  const stages = delays.length;
  const {swarm, links} = await open(delays, stages);
  try {
    await sleep(settleMs);
    const probed = (await swarm.status()).predicted_token_ms;
    const bytesOf = async () => (await Promise.all(links.map(async (link) => {
      const {up, down} = await link.tell();
      return up.bytes + down.bytes;
    }))).reduce((a, b) => a + b, 0);
    const before = await bytesOf();
    await sleep(10_000);
    const idleBytes = (await bytesOf() - before) / 10 / stages;
    const {tokenMs} = await oneStream(swarm.url, {count, rounds: 2});
    await sleep(settleMs);
    const status = await swarm.status();
    const memory = {memory_gb: 0.5};
    const declared = await planned(stages, delays.map(() => memory));
    const hindsight = await planned(stages, status.volunteers.map((v) => ({
      ...memory, latency_ms: v.round_trip_ms / 2, fixed_ms: v.step.fixed_ms,
      gb_per_s: v.step.gb_per_s, gflops: v.step.gflops, up_mbit_per_s: 1000,
      down_mbit_per_s: 1000,
    })));
    const stepError = Math.max(...status.volunteers.map((v) => v.step.error_percent));
    const row = {delays, declared, probed, hindsight, updated: status.predicted_token_ms,
      tokenMs, stepError, idleBytes};
    console.log(JSON.stringify(row));
    return row;
  } finally {
    await swarm.stop();
  }
}

// Two far volunteers come first and two near ones later: who is in the plan, when, and what an
// answer costs then.
async function choice() {
  const far = [50, 50];
  const near = [1, 1];
  const swarm = await Swarm.start(pack, '--stages', '2');
  try {
    for (const delay of far) await swarm.join((await swarm.link('--delay', `${delay}ms`)).url);
    await swarm.untilReady(2);
    for (const delay of near) await swarm.join((await swarm.link('--delay', `${delay}ms`)).url);
    const rows = [];
    const start = performance.now();
    for (const wait of [0, 10_000, 20_000]) {
      await sleep(wait);
      const {volunteers} = await swarm.untilReady(4);
      const {tokenMs} = await oneStream(swarm.url, {count, rounds: 1});
      const {stages} = swarm.events().filter(({event}) => event === 'routed').at(-1);
      const trips = stages.map(({node}) => volunteers.find((v) => v.id === node).round_trip_ms);
      rows.push({seconds: (performance.now() - start) / 1000, trips, tokenMs});
      console.log(JSON.stringify(rows.at(-1)));
    }
    return rows;
  } finally {
    await swarm.stop();
  }
}

const rows = [];
for (const delays of networks) rows.push(await predictions(delays));
const chosen = await choice();

const report = new Report(import.meta.dirname, 'What the server must know about a client');
const off = (predicted, {tokenMs}) =>
    `${predicted.toFixed(1)} (${(100 * (predicted / tokenMs - 1)).toFixed(0)} %)`;
report.say('The embedded model in q4 over native volunteers, each behind a `shoal link` with the ' +
    'delay named; as many stages as volunteers. Milliseconds a token, measured (median of two ' +
    'answers after a first), and predicted by what is known; in brackets how far off.',
'- **memory**: `shoal plan` with each device\'s memory and nothing else: 10 ms away, 10 GB/s.\n' +
    '- **and a probe**: the coordinator before any request: pings, and what each volunteer found ' +
    'when it timed its engine for some tenths of a second before it joined.\n' +
    '- **and steps**: the coordinator after three answers.\n' +
    '- **in hindsight**: `shoal plan` with the round trips and the speeds that the steps came to.');
report.table(rows.map((row) => ({
  'one way, ms': row.delays.join(', '), 'measured, ms': row.tokenMs.toFixed(1),
  'memory': off(row.declared, row), 'and a probe': off(row.probed, row),
  'and steps': off(row.updated, row), 'in hindsight': off(row.hindsight, row),
})));
const worst = (field) => Math.max(...rows.map((row) => Math.abs(row[field] / row.tokenMs - 1)));
report.plot('error', {
  title: 'How far predictions are off', x: 'network (row of the table)', y: 'error, %',
  series: [['declared', 'memory'], ['probed', 'and a probe'], ['updated', 'and steps'],
    ['hindsight', 'in hindsight']].map(([field, name]) => ({
    name, points: rows.map((row, i) => [i + 1, 100 * Math.abs(row[field] / row.tokenMs - 1)]),
  })),
});
report.say(`Off at worst: ${['declared', 'probed', 'updated', 'hindsight'].map((field) =>
    `${(100 * worst(field)).toFixed(0)} %`).join(', ')}. A single step is predicted to within ` +
    `${Math.max(...rows.map((row) => row.stepError)).toFixed(0)} % (mean absolute error of the ` +
    'last 64 steps, worst volunteer).');
report.say('## What knowing costs',
    `An idle volunteer costs ${(rows.reduce((sum, row) => sum + row.idleBytes, 0) / rows.length)
        .toFixed(0)} bytes a second on its line, both ways together: a ping each second. Steps ` +
    'are reported with frames that are sent anyway.');
report.say('## What ignorance costs', 'Two volunteers 50 ms away hold the model; two that are ' +
    '1 ms away join. Who was on the route of an answer, by round trip, and what a token cost:');
report.table(chosen.map((row) => ({
  'seconds after they joined': row.seconds.toFixed(0),
  'round trips of the route, ms': row.trips.map((ms) => ms.toFixed(1)).join(', '),
  'token, ms': row.tokenMs.toFixed(1),
})));
report.write();
