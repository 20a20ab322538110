// Against centralised inference: the same engine and model in one process that holds everything,
// beside swarms on the same machine. Latency, throughput, and how busy the processors were.
//
//   node experiments/centralised/run.mjs [--short]
import {parseArgs} from 'node:util';

import {Swarm, median, packStoryteller} from '../../bench/swarm/swarm.mjs';
import {manyStreams, oneStream} from '../lib/load.mjs';
import {Report} from '../lib/report.mjs';

const {values: flags} = parseArgs({options: {short: {type: 'boolean', default: false}}});
const rounds = flags.short ? 1 : 3;
const count = flags.short ? 16 : 64;
const clients = 8;

const native = (stages) => ({
  name: `swarm, ${stages} native`,
  open: async (pack) => {
    const swarm = await Swarm.start(pack, '--stages', String(stages));
    for (let i = 0; i < stages; ++i) await swarm.join();
    await swarm.untilReady(stages);
    return swarm;
  },
});
const cases = [
  {
    name: 'one process, 1 thread',
    open: async (pack) => {
      const swarm = await Swarm.start(pack, '--lend', '1G', '--threads', '1');
      await swarm.untilReady(1);
      return swarm;
    },
  },
  {
    name: 'one process, 2 threads',
    open: async (pack) => {
      const swarm = await Swarm.start(pack, '--lend', '1G', '--threads', '2');
      await swarm.untilReady(1);
      return swarm;
    },
  },
  native(1), native(2), native(4),
  {
    name: 'swarm, 2 native, 20 ms away',
    open: async (pack) => {
      const swarm = await Swarm.start(pack, '--stages', '2');
      for (let i = 0; i < 2; ++i) await swarm.join((await swarm.link('--delay', '20ms')).url);
      await swarm.untilReady(2);
      return swarm;
    },
  },
  {
    name: 'swarm, 2 tabs',
    open: async (pack) => {
      const swarm = await Swarm.start(pack, '--stages', '2');
      for (let i = 0; i < 2; ++i) await swarm.tab();
      await swarm.untilReady(2);
      return swarm;
    },
  },
];

const pack = await packStoryteller('q4');
const results = cases.map(({name}) => ({name, runs: []}));
// Rounds over all cases, so that whatever else the machine does meets them alike.
for (let round = 0; round < rounds; ++round) {
  for (const [i, {name, open}] of cases.entries()) {
    const swarm = await open(pack);
    try {
      const one = await oneStream(swarm.url, {count});
      const many = await manyStreams(swarm.url, {clients, count, pids: swarm.pids});
      results[i].runs.push({...one, ...many});
      console.log(name, JSON.stringify(results[i].runs.at(-1)));
    } finally {
      await swarm.stop();
    }
  }
}

const of = ({runs}, field) => median(runs.map((run) => run[field]));
const base = results[0];
const report = new Report(import.meta.dirname, 'Against centralised inference');
report.say('The embedded model (22 M weights in q4) with the same engine: in the process of the ' +
    'coordinator, which holds all of it, and over swarms on the same machine. "Native" are ' +
    '`shoal join` with one thread, tabs are headless Chromium with the engine in WebAssembly. ' +
    `Medians of ${rounds} rounds over all cases.`);
report.table(results.map((result) => ({
  '': result.name,
  'token, ms': of(result, 'tokenMs').toFixed(2),
  'beside the first': `${(of(result, 'tokenMs') / of(base, 'tokenMs')).toFixed(2)}x`,
  'first token, ms': of(result, 'firstMs').toFixed(0),
  [`${clients} streams, tokens/s`]: of(result, 'tokensPerSecond').toFixed(0),
  'beside it': `${(of(result, 'tokensPerSecond') / of(base, 'tokensPerSecond')).toFixed(2)}x`,
  'busy cores': of(result, 'busyCores').toFixed(2),
})));
report.plot('centralised', {
  title: 'Latency against throughput', x: 'ms a token, one stream',
  y: `tokens/s, ${clients} streams`, logX: true, logY: true,
  series: results.map((result) => ({
    name: result.name, points: [[of(result, 'tokenMs'), of(result, 'tokensPerSecond')]],
  })),
});
report.say('A swarm on one machine has no more processor than one process has. Two stages in ' +
    'two processes keep both cores at work on different tokens, which a small model gains more ' +
    'from than from two threads that meet after every product; beyond that, what the table shows ' +
    'beside the first row is what dividing costs: frames, sockets, and with distance, time. What ' +
    'a swarm gains on many machines is memory and processors; neither shows here. Busy cores are ' +
    'those of the coordinator, the volunteers and the tabs\' renderers, while the streams ran.');
report.write();
