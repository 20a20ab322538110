// Tokens per second over emulated links beside what the coordinator predicted: 5, 20 and 50 ms one
// way, 2 and 3 stages.
//
//   node bench/swarm/links.mjs [--delays 5,20,50] [--stages 2,3] [--tokens 64] [--weights q4]
//        [--rate 0] [--tabs] [--rounds 3] [--json FILE]
//
// Volunteers are native, or tabs with --tabs, each behind a `shoal link` of its own. `before` is
// predicted_token_ms before anything was asked, from what volunteers say of themselves and from
// pings; `after` when the steps of the answers have been seen. Measured: median time between tokens
// at the client.
import fs from 'node:fs';
import {setTimeout as sleep} from 'node:timers/promises';
import {parseArgs} from 'node:util';

import {Swarm, ask, gaps, machine, mean, median, packStoryteller, rates} from './swarm.mjs';

const {values: flags} = parseArgs({
  options: {
    delays: {type: 'string', default: '5,20,50'},
    stages: {type: 'string', default: '2,3'},
    tokens: {type: 'string', default: '64'},
    weights: {type: 'string', default: 'q4'},
    rate: {type: 'string', default: '0'},
    tabs: {type: 'boolean', default: false},
    rounds: {type: 'string', default: '3'},
    json: {type: 'string'},
  },
});
// The coordinator pings each second and predicts every five: what it says then it has from both.
const settleMs = 11_000;

async function measure(pack, delay, stages) {
  const swarm = await Swarm.start(pack, '--stages', String(stages));
  try {
    for (let i = 0; i < stages; ++i) {
      const {url} = await swarm.link('--delay', `${delay}ms`, '--rate', flags.rate);
      await (flags.tabs ? swarm.tab(url) : swarm.join(url));
      // One after the other: each measures how fast it is before it joins.
      await swarm.until(({volunteers}) => volunteers.length > i, `volunteer ${i + 1}`);
    }
    await swarm.untilReady(stages);
    await sleep(settleMs);
    const before = (await swarm.status()).predicted_token_ms;
    const answers = [];
    for (let round = 0; round < Number(flags.rounds); ++round) {
      answers.push(await ask(swarm.url, {count: Number(flags.tokens)}));
    }
    await sleep(settleMs);
    const status = await swarm.status();
    // The first answer warms what is compiled or allocated at the first run.
    const tokenMs = median(answers.slice(1).flatMap(({times}) => gaps(times.slice(1))));
    const steps = swarm.events().filter(({event, rows}) => event === 'step' && rows === 1);
    const part = (field) => mean(steps.map((step) => step[field])) / 1000;
    return {
      delay, stages, tokenMs, before, after: status.predicted_token_ms,
      firstMs: median(answers.map((answer) => rates(answer).firstMs)),
      roundTrips: status.volunteers.map((v) => v.round_trip_ms),
      compute: part('compute_us'), transfer: part('transfer_us'), queue: part('queue_us'),
    };
  } finally {
    await swarm.stop();
  }
}

const pack = await packStoryteller(flags.weights);
const rows = [];
for (const stages of flags.stages.split(',').map(Number)) {
  for (const delay of flags.delays.split(',').map(Number)) {
    rows.push(await measure(pack, delay, stages));
  }
}
const error = (predicted, measured) => `${(100 * (predicted / measured - 1)).toFixed(1)} %`;
console.log(`${flags.tabs ? 'tabs' : 'native volunteers'}, ${flags.weights}, rate ${flags.rate}, ` +
            machine());
console.table(rows.map((row) => ({
  'one way, ms': row.delay, stages: row.stages,
  'token, ms': row.tokenMs.toFixed(2), 'tokens/s': (1000 / row.tokenMs).toFixed(2),
  'predicted before, ms': row.before, error: error(row.before, row.tokenMs),
  'predicted after, ms': row.after, 'error after': error(row.after, row.tokenMs),
  'step: compute, transfer, ms': `${row.compute.toFixed(2)}, ${row.transfer.toFixed(2)}`,
  'round trips, ms': row.roundTrips.map((ms) => ms.toFixed(1)).join(' '),
})));
if (flags.json) fs.writeFileSync(flags.json, JSON.stringify(rows, null, 1));
