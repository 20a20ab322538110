// Many API clients at once against one, over tabs of headless Chromium (or native volunteers):
// tokens per second together, fairness, and whether every answer is the one that its client gets
// alone.
//
//   node bench/swarm/clients.mjs [--tabs 4] [--stages 2] [--clients 16] [--tokens 96]
//        [--weights q4] [--executor shoal] [--native] [--rounds 3]
//
// One client and many take turns, `rounds` times. Needs build/release/shoal and the built pages.
import {setTimeout as sleep} from 'node:timers/promises';
import {parseArgs} from 'node:util';

import {Swarm, ask, jain, machine, mean, median, packStoryteller, rates} from './swarm.mjs';

const {values: flags} = parseArgs({
  options: {
    tabs: {type: 'string', default: '4'},
    stages: {type: 'string', default: '2'},
    clients: {type: 'string', default: '16'},
    tokens: {type: 'string', default: '96'},
    weights: {type: 'string', default: 'q4'},
    executor: {type: 'string', default: 'shoal'},
    native: {type: 'boolean', default: false},
    rounds: {type: 'string', default: '3'},
  },
});
const clients = Number(flags.clients);
const count = Number(flags.tokens);
// Every client asks something else.
const promptOf = (client) =>
    Array.from({length: 12}, (_, i) => 5 + ((client * 131 + i * 17) % 900));

const pack = await packStoryteller(flags.weights);
const swarm = await Swarm.start(pack, '--stages', flags.stages);
try {
  for (let i = 0; i < Number(flags.tabs); ++i) {
    await (flags.native ? swarm.join() : swarm.tab(swarm.url, {executor: flags.executor}));
  }
  await swarm.untilReady(Number(flags.tabs));
  const alone = [];
  for (let i = 0; i < clients; ++i) {
    alone.push((await ask(swarm.url, {prompt: promptOf(i), count})).ids);
  }
  const rounds = [];
  for (let round = 0; round < Number(flags.rounds); ++round) {
    const one = rates(await ask(swarm.url, {prompt: promptOf(round), count})).tokensPerSecond;
    const seen = swarm.events().length;
    const start = performance.now();
    const answers = await Promise.all(Array.from({length: clients}, (_, i) =>
        ask(swarm.url, {prompt: promptOf(i), count})));
    const seconds = (performance.now() - start) / 1000;
    await sleep(500);  // The last reports come.
    const wrong = answers.filter(({ids}, i) => ids.some((id, at) => id !== alone[i][at])).length;
    const first = answers.map((answer) => rates(answer).firstMs);
    rounds.push({
      'one client, tokens/s': one.toFixed(1),
      'all, tokens/s': (clients * count / seconds).toFixed(1),
      ratio: Number((clients * count / seconds / one).toFixed(2)),
      'Jain': Number(jain(answers.map((a) => count / (a.times.at(-1) - a.times[0]))).toFixed(4)),
      'first token, ms: median, most': [median(first), Math.max(...first)]
          .map((ms) => ms.toFixed(0)).join(', '),
      'rows a step': mean(swarm.events(seen).filter(({event}) => event === 'step')
          .map((step) => step.rows)).toFixed(2),
      wrong,
    });
  }
  const {plan} = await swarm.status();
  console.log(`${clients} clients, ${count} tokens each, ${flags.tabs} ` +
              `${flags.native ? 'native volunteers' : `tabs (${flags.executor})`}, ` +
              `${flags.weights}, --stages ${flags.stages}; ${machine()}`);
  console.log(`plan: ${JSON.stringify(plan)}`);
  console.table(rounds);
  const ok = rounds.every(({wrong}) => wrong === 0);
  console.log(`ratio ${median(rounds.map(({ratio}) => ratio))} (median); ` +
              `${ok ? 'every answer as alone' : 'SOME ANSWERS DIFFER'}`);
  process.exitCode = ok ? 0 : 1;
} finally {
  await swarm.stop();
}
