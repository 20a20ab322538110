// How is execution in a browser made fast? One tab holds the whole embedded model and is asked,
// with every executor and format that it runs; the same engine natively beside it. And
// bench/engine: one stage of a large model's widths, run anew.
//
//   node experiments/executors/run.mjs [--short] [--no-engine]
//
// Needs, beyond what all experiments need, engine_bench (cmake --build --preset release --target
// engine_bench) and build/wasm.
import {execFileSync} from 'node:child_process';
import {parseArgs} from 'node:util';

import {Swarm, median, packStoryteller, root} from '../../bench/swarm/swarm.mjs';
import {manyStreams, oneStream} from '../lib/load.mjs';
import {Report} from '../lib/report.mjs';

const {values: flags} = parseArgs({options: {
  short: {type: 'boolean', default: false}, 'no-engine': {type: 'boolean', default: false},
}});
const rounds = flags.short ? 1 : 2;
const count = flags.short ? 12 : 48;
const clients = 4;

const cases = ['q4', 'f32'].flatMap((weights) => [
  {name: 'shoal, native', weights, open: (swarm) => swarm.join()},
  {name: 'shoal, tab', weights, open: (swarm) => swarm.tab(swarm.url, {executor: 'shoal'})},
  {name: 'ort-wasm, tab', weights, open: (swarm) => swarm.tab(swarm.url, {executor: 'ort-wasm'})},
]);

const results = cases.map(({name, weights}) => ({name, weights, runs: []}));
for (let round = 0; round < rounds; ++round) {
  for (const [i, {name, weights, open}] of cases.entries()) {
    const swarm = await Swarm.start(await packStoryteller(weights));
    try {
      await open(swarm);
      await swarm.untilReady(1);
      const one = await oneStream(swarm.url, {count, rounds: 2});
      const seen = swarm.events().length;
      const many = await manyStreams(swarm.url, {clients, count});
      const steps = swarm.events(seen).filter(({event}) => event === 'step');
      const prefill = swarm.events().filter((e) => e.event === 'step' && e.rows === 12);
      const decode = swarm.events().filter((e) => e.event === 'step' && e.rows === 1);
      results[i].runs.push({...one, ...many,
        computeMs: median(decode.map((step) => step.compute_us)) / 1000,
        prefillMs: median(prefill.map((step) => step.compute_us)) / 1000,
        rows: steps.reduce((sum, {rows}) => sum + rows, 0) / steps.length});
      console.log(name, weights, JSON.stringify(results[i].runs.at(-1)));
    } finally {
      await swarm.stop();
    }
  }
}

const of = ({runs}, field) => median(runs.map((run) => run[field]));
const report = new Report(import.meta.dirname, 'How execution in a browser is made fast');
report.say('## The whole way', 'The embedded model on one volunteer of one thread, asked through ' +
    'the API: the engine natively, the same engine as WebAssembly in a tab of headless Chromium, ' +
    'and ONNX Runtime Web on its CPU backend. "Computes" is what the volunteer reports for one ' +
    'row and for a prompt of 12; the rest of a token is frames, sockets and the server. Medians ' +
    `of ${rounds} rounds over all cases.`);
report.table(results.map((result) => ({
  executor: result.name, weights: result.weights, 'token, ms': of(result, 'tokenMs').toFixed(2),
  'computes, ms': of(result, 'computeMs').toFixed(2),
  '12 rows, ms': of(result, 'prefillMs').toFixed(1),
  'first token, ms': of(result, 'firstMs').toFixed(0),
  [`${clients} streams, tokens/s`]: of(result, 'tokensPerSecond').toFixed(0),
})));
if (!flags['no-engine']) {
  const bench = execFileSync('node', ['bench/engine/browser.mjs', 'build/release', 'build/wasm',
    flags.short ? '1' : '2'], {cwd: root, encoding: 'utf8', env: {...process.env, NO_COLOR: '1'}});
  report.say('## One stage of a large model', 'Four layers of hidden 2048 and ffn 8192, random ' +
      'weights, one thread, milliseconds (`bench/engine/browser.mjs`):');
  report.say('```\n' + bench.trim() + '\n```');
}
report.say('`ort-webgpu` is not in these tables: this machine has no GPU, and the software ' +
    'adapter of Chromium says nothing about one. docs/ort-web.md and the documents of the ' +
    'executor have what was measured on GPUs.');
report.write();
