// What a head's result costs to read back: all logits, or the largest, picked on the GPU.
//   node bench/webgpu/largest.mjs --webgpu MODULE [--vocabularies 32000,128256,262144]
// MODULE: the npm package `webgpu` (Dawn in Node.js).
import {parseArgs} from 'node:util';

import {GpuLargest} from '../../web/volunteer/executors/gpu_largest.ts';
import {openDevice} from './device.mjs';

const {values} = parseArgs({
  options: {
    webgpu: {type: 'string'},
    vocabularies: {type: 'string', default: '32000,128256,262144'},
    rounds: {type: 'string', default: '200'},
  },
});
const {device, name} = await openDevice(values.webgpu);
console.log(name);

async function readAll(logits) {
  const staging = device.createBuffer({size: logits.size, usage: 0x08 | 0x01});
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(logits, 0, staging, 0, logits.size);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(1);
  const all = new Float32Array(staging.getMappedRange().slice(0));
  staging.destroy();
  return all;
}

function largestOf(all, count) {
  const ids = [...all.keys()].sort((a, b) => all[b] - all[a] || a - b);
  return ids.slice(0, count);
}

const median = (times) => times.sort((a, b) => a - b)[times.length >> 1];

for (const vocab of values.vocabularies.split(',').map(Number)) {
  const data = Float32Array.from({length: vocab}, () => (Math.random() + Math.random() - 1) * 20);
  const logits = device.createBuffer({size: data.byteLength, usage: 0x80 | 0x08 | 0x04});
  device.queue.writeBuffer(logits, 0, data);
  const largest = new GpuLargest(device, vocab);
  const [picked] = await largest.pick(logits, 1);
  const expected = largestOf(await readAll(logits), picked.ids.length);
  const isRight = expected.every((id, i) => picked.ids[i] === id);
  const times = {all: [], picked: []};
  for (let round = 0; round < Number(values.rounds); ++round) {
    let from = performance.now();
    await readAll(logits);
    times.all.push(performance.now() - from);
    from = performance.now();
    await largest.pick(logits, 1);
    times.picked.push(performance.now() - from);
  }
  const [all, few] = [median(times.all), median(times.picked)];
  console.log(
    `${vocab} logits: all ${(vocab * 4) >> 10} KB ${all.toFixed(2)} ms, the largest 1 KB ` +
      `${few.toFixed(2)} ms (${isRight ? 'the same as a sort' : 'WRONG'})`,
  );
  largest.destroy();
  logits.destroy();
}
device.destroy();
