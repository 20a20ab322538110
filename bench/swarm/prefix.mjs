// Prefix reuse: the time to the first token of a session whose first 400 tokens somebody asked
// before, beside that of the first one to ask. The target is under 40 %.
//
//   node bench/swarm/prefix.mjs [--prefix 400] [--stages 3] [--rounds 5] [--weights q4] [--tabs]
//        [--delay 0ms]
//
// Every round has a prefix of its own, so that its first session is new to the swarm. Exits with 1
// when the target is missed.
import {parseArgs} from 'node:util';

import {Swarm, ask, machine, median, packStoryteller} from './swarm.mjs';

const {values: flags} = parseArgs({
  options: {
    prefix: {type: 'string', default: '400'},
    stages: {type: 'string', default: '3'},
    rounds: {type: 'string', default: '5'},
    weights: {type: 'string', default: 'q4'},
    delay: {type: 'string', default: '0ms'},
    tabs: {type: 'boolean', default: false},
  },
});
const target = 0.4;
const length = Number(flags.prefix);
const prefixOf = (round) =>
    Array.from({length}, (_, i) => 5 + ((i * i * 31 + i * 7 + round * 977) % 7000));
const questionOf = (session) => Array.from({length: 8}, (_, i) => 100 + session * 50 + i * 3);

const pack = await packStoryteller(flags.weights);
const swarm = await Swarm.start(pack, '--stages', flags.stages);
try {
  for (let i = 0; i < Number(flags.stages); ++i) {
    const {url} = await swarm.link('--delay', flags.delay);
    await (flags.tabs ? swarm.tab(url) : swarm.join(url));
  }
  await swarm.untilReady(Number(flags.stages));
  await ask(swarm.url, {prompt: prefixOf(999), count: 8});  // Warms up.
  const rounds = [];
  for (let round = 0; round < Number(flags.rounds); ++round) {
    const first = [];
    for (let session = 0; session < 2; ++session) {
      const prompt = [...prefixOf(round), ...questionOf(session)];
      const {times} = await ask(swarm.url, {prompt, count: 8});
      first.push(times[1] - times[0]);
    }
    rounds.push({'first session, ms': first[0].toFixed(1), 'second, ms': first[1].toFixed(1),
      ratio: Number((first[1] / first[0]).toFixed(3))});
  }
  console.log(`prefix of ${length} tokens, ${flags.stages} stages, ${flags.delay} one way, ` +
              `${flags.tabs ? 'tabs' : 'native volunteers'}, ${flags.weights}; ${machine()}`);
  console.table(rounds);
  const ratio = median(rounds.map((round) => round.ratio));
  console.log(`time to first token of the second session: ${(100 * ratio).toFixed(0)} % of the ` +
              `first's (median; target under ${100 * target} %)`);
  process.exitCode = ratio < target ? 0 : 1;
} finally {
  await swarm.stop();
}
