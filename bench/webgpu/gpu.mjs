// Decode steps and prefill of a stage on this machine's GPU, by the ways of keeping KV caches.
//
//   shoal stage PACK 1 17 -o STAGE --context 8192 --activations f16
//   npm install --prefix /tmp/webgpu webgpu           # Dawn's WebGPU for Node.js
//   node bench/webgpu/gpu.mjs STAGE [STAGE ...] --webgpu /tmp/webgpu/node_modules/webgpu
//       [--contexts 512,2048,4096] [--chunk 512] [--steps 32] [--rounds 2] [--ort FOLDER]
//
// Node.js 24 or later, which reads TypeScript. The stage must begin after the embedding and end
// before the head; of its files only stage.json and model.onnx need be there: weights that are
// missing are made up. The ways take turns; of every figure the median is shown.
import {parseArgs} from 'node:util';

import {loadOrt, openDevice} from './device.mjs';
import {readStage} from './stage_folder.mjs';
import {AsTransformers, Growing, InPlace} from './ways.mjs';

const {values: flags, positionals: folders} = parseArgs({
  allowPositionals: true,
  options: {
    webgpu: {type: 'string'},
    ort: {type: 'string'},
    contexts: {type: 'string', default: '512,2048,4096'},
    chunk: {type: 'string', default: '512'},
    steps: {type: 'string', default: '32'},
    rounds: {type: 'string', default: '2'},
  },
});
if (folders.length === 0 || flags.webgpu === undefined) {
  console.error('usage: node bench/webgpu/gpu.mjs STAGE [STAGE ...] --webgpu FOLDER');
  process.exit(2);
}
const contexts = flags.contexts.split(',').map(Number);
const [chunk, steps, rounds] = [flags.chunk, flags.steps, flags.rounds].map(Number);
const capacity = Math.max(...contexts) + steps;

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
const noise = (count) => Float32Array.from({length: count}, () => Math.random() * 2 - 1);

// The largest difference over the largest value.
function distance(a, b) {
  let [worst, scale] = [0, 0];
  for (const [i, value] of b.entries()) {
    if (!(Math.abs(a[i]) < 65504)) return Infinity;
    worst = Math.max(worst, Math.abs(a[i] - value));
    scale = Math.max(scale, Math.abs(value));
  }
  return worst / scale;
}

const gpu = await openDevice(flags.webgpu);
console.log(`${gpu.name}, shader-f16: ${gpu.runsF16}, Node.js ${process.version}`);
const ort = await loadOrt(flags.ort);
const ways = [];
for (const folder of folders) {
  const stage = readStage(folder);
  const type = stage.inputs.find(({name}) => name.startsWith('past.')).type;
  if (type === 'f16' && !gpu.runsF16) {
    console.log(`${folder}: left out, the GPU has no shader-f16`);
    continue;
  }
  const blocks = `blocks [${stage.first}, ${stage.last})`;
  console.log(`${folder}: ${blocks}, ${(stage.bytes / 1e6).toFixed(0)} MB, ${type}`);
  for (const Way of [InPlace, Growing, AsTransformers]) {
    const way = new Way(ort, gpu.device, stage, {chunk, capacity});
    const start = performance.now();
    try {
      await way.load();
    } catch (error) {
      console.log(`  ${way.name}: ${error.message}`);
      continue;
    }
    console.log(`  ${way.name}: loaded in ${((performance.now() - start) / 1e3).toFixed(1)} s`);
    ways.push({way, label: `${type}, ${way.name}`, stage, decode: new Map(), prefill: new Map()});
  }
}

// Fills a session up to `context`, then decodes.
async function session(entry, context, inputs) {
  const {way, stage} = entry;
  const timed = async (into, key, position, rows) => {
    const input = inputs.slice(position * stage.hidden, (position + rows) * stage.hidden);
    const start = performance.now();
    const output = await way.run(position, rows, input);
    const list = into.get(key) ?? [];
    into.set(key, list);
    list.push(performance.now() - start);
    return output;
  };
  await way.reset();
  for (let at = 0; at < context; at += chunk) {
    await timed(entry.prefill, at, at, Math.min(chunk, context - at));
  }
  let output;
  for (let step = 0; step < steps; ++step) {
    output = await timed(entry.decode, context, context + step, 1);
  }
  return output;
}

for (let round = 0; round < rounds; ++round) {
  for (const context of contexts) {
    const inputs = noise((context + steps) * ways[0].stage.hidden);
    let reference;
    for (const entry of ways) {
      const output = await session(entry, context, inputs);
      reference ??= output;
      const off = distance(output, reference);
      console.log(`round ${round}, ${context}: ${entry.label}, off by ${off.toExponential(1)}`);
    }
  }
}

const table = (title, keys, of) => {
  console.log(`\n${title}`);
  for (const entry of ways) {
    const cells = keys.map((key) => median(of(entry).get(key) ?? [NaN]).toFixed(2).padStart(9));
    console.log(`${entry.label.padEnd(28)} ${cells.join(' ')}`);
  }
};
table(`ms a decode step after ${contexts.join(', ')} positions`, contexts, (e) => e.decode);
const starts = [...new Set(contexts.map((context) => Math.max(0, context - chunk)))];
table(`ms for ${chunk} rows of prefill after ${starts.join(', ')}`, starts, (e) => e.prefill);
process.exit(0);
