// kill -9 of the coordinator in the middle of an answer, and a restart on the same port and data
// folder: how long until answers are given again, what was fetched again, whether the ledger and
// the plan are what they were, and what became of the answer.
//
//   node bench/swarm/restart.mjs [--stages 3] [--weights q4] [--tabs]
import {setTimeout as sleep} from 'node:timers/promises';
import {parseArgs} from 'node:util';

import {Swarm, ask, machine, packStoryteller} from './swarm.mjs';

const {values: flags} = parseArgs({
  options: {
    stages: {type: 'string', default: '3'},
    weights: {type: 'string', default: 'q4'},
    tabs: {type: 'boolean', default: false},
  },
});
const stages = Number(flags.stages);
const count = 200;

const pack = await packStoryteller(flags.weights);
const swarm = await Swarm.start(pack, '--stages', flags.stages);
try {
  for (let i = 0; i < stages; ++i) await (flags.tabs ? swarm.tab() : swarm.join());
  await swarm.untilReady(stages);
  const calm = (await ask(swarm.url, {count})).ids;
  const before = await swarm.status();
  const seen = swarm.events().length;
  const spans = (status) =>
      JSON.stringify(status.volunteers.map(({blocks}) => blocks).sort((a, b) => a[0][0] - b[0][0]));
  const ledger = (status) =>
      status.volunteers.reduce((sum, {block_rows_done: rows}) => sum + (rows ?? 0), 0);

  let tokens = 0;
  const answer = ask(swarm.url, {
    count, onToken: (n) => {
      tokens = n;
      if (n === 40) process.kill(swarm.pid, 'SIGKILL');
    },
  }).then(({ids}) => `came whole: ${ids.every((id, i) => id === calm[i])}`,
      (error) => `failed after ${tokens} tokens: ${error.message}`);
  const became = await answer;
  const start = performance.now();
  await sleep(300);
  await swarm.serve(pack, '--stages', flags.stages);
  const up = performance.now();
  await swarm.untilReady(stages);
  const ready = performance.now();
  const after = await swarm.status();
  const again = (await ask(swarm.url, {count})).ids;
  const fetched = swarm.events(seen).filter(({event}) => event === 'loaded')
      .reduce((sum, {bytes_fetched: bytes}) => sum + bytes, 0);
  console.log(`${stages} ${flags.tabs ? 'tabs' : 'native volunteers'}, ${flags.weights}; ` +
              machine());
  console.log(`the answer under way ${became}`);
  console.log(`listening ${(up - start).toFixed(0)} ms after the kill, volunteers back and ready ` +
              `${(ready - up).toFixed(0)} ms later, ${fetched} bytes of weights fetched again`);
  console.log(`spans before ${spans(before)}, after ${spans(after)}`);
  console.log(`ledger (block rows done): ${ledger(before)} before, ${ledger(after)} after`);
  const same = again.every((id, i) => id === calm[i]);
  console.log(`the next answer is ${same ? 'what it was' : 'ANOTHER ONE'}`);
  const intact = fetched === 0 && spans(before) === spans(after) && ledger(after) >= ledger(before);
  console.log(intact ? 'plan, weights and ledger survived' : 'NOT INTACT');
  process.exitCode = same && intact ? 0 : 1;
} finally {
  await swarm.stop();
}
