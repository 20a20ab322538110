// Whether ONNX Runtime Web's graph capture works for a stage's decode step: the same rows through
// an ordinary session and a captured one.
//
//   node bench/webgpu/capture.mjs STAGE --webgpu FOLDER [--ort FOLDER] [--total gpu|cpu]
import {parseArgs} from 'node:util';

import {loadOrt, openDevice} from './device.mjs';
import {readStage} from './stage_folder.mjs';
import {InPlace} from './ways.mjs';

const {values: flags, positionals: [folder]} = parseArgs({
  allowPositionals: true,
  options: {
    webgpu: {type: 'string'},
    ort: {type: 'string'},
    total: {type: 'string', default: 'gpu'},
    steps: {type: 'string', default: '12'},
  },
});
const {device, name} = await openDevice(flags.webgpu);
const ort = await loadOrt(flags.ort);
const stage = readStage(folder);
const [capacity, steps] = [256, Number(flags.steps)];
console.log(`${name}: total_sequence_length on the ${flags.total.toUpperCase()}`);

const usage = {storage: 0x80, copySource: 4, copyTarget: 8, mapRead: 1};
const buffer = (size) =>
  device.createBuffer({size, usage: usage.storage | usage.copySource | usage.copyTarget});
const onGpu = (dataType, dims, bytes) => {
  const gpu = buffer(bytes);
  return {gpu, tensor: ort.Tensor.fromGpuBuffer(gpu, {dataType, dims})};
};
async function read(gpu, size) {
  const staging = device.createBuffer({size, usage: usage.copyTarget | usage.mapRead});
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(gpu, 0, staging, 0, size);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(1);
  const values = new Float32Array(staging.getMappedRange().slice(0));
  staging.destroy();
  return values;
}

const session = await ort.InferenceSession.create(stage.graph, {
  executionProviders: [{name: 'webgpu', device}],
  enableGraphCapture: true,
  externalData: [...stage.weights].map(([path, data]) => ({path, data})),
  preferredOutputLocation: 'gpu-buffer',
  extra: {session: {disable_cpu_ep_fallback: '1'}},
});
console.log('captured session created');
const cached = session.inputMetadata.find((input) => input.name.startsWith('past.'));
const bytes = cached.type === 'float16' ? 2 : 4;
const {first, last, hidden} = stage;
const feeds = {};
const fetches = {};
for (const {block, heads, head_size: size} of stage.kv) {
  for (const part of ['key', 'value']) {
    const dims = [1, heads, capacity, size];
    const {tensor} = onGpu(cached.type, dims, heads * capacity * size * bytes);
    feeds[`past.${block}.${part}`] = tensor;
    fetches[`present.${block}.${part}`] = tensor;
  }
}
const input = onGpu('float32', [1, 1, hidden], 4 * hidden);
const output = onGpu('float32', [1, 1, hidden], 4 * hidden);
const seqlens = onGpu('int32', [1], 4);
const total = onGpu('int32', [], 4);
feeds[`hidden.${first}`] = input.tensor;
feeds.seqlens_k = seqlens.tensor;
fetches[`hidden.${last}`] = output.tensor;

const plain = new InPlace(ort, device, stage, {chunk: 16, capacity});
await plain.load();
await plain.reset();
const times = {captured: [], plain: []};
for (let step = 0; step < steps; ++step) {
  const row = Float32Array.from({length: hidden}, () => Math.random() * 2 - 1);
  let start = performance.now();
  const expected = (await plain.run(step, 1, row.slice())).slice();
  times.plain.push(performance.now() - start);
  start = performance.now();
  device.queue.writeBuffer(input.gpu, 0, row);
  device.queue.writeBuffer(seqlens.gpu, 0, Int32Array.of(step));
  device.queue.writeBuffer(total.gpu, 0, Int32Array.of(step + 1));
  feeds.total_sequence_length =
    flags.total === 'gpu' ? total.tensor : new ort.Tensor('int32', Int32Array.of(step + 1), []);
  await session.run(feeds, fetches);
  const given = await read(output.gpu, 4 * hidden);
  times.captured.push(performance.now() - start);
  const scale = Math.max(...expected.map(Math.abs));
  const off = Math.max(...expected.map((value, i) => Math.abs(value - given[i]))) / scale;
  console.log(`step ${step}: off by ${off.toExponential(1)}`);
}
for (const [label, list] of Object.entries(times)) {
  const sorted = list.toSorted((a, b) => a - b);
  console.log(`${label}: ${sorted[sorted.length >> 1].toFixed(2)} ms a step`);
}
process.exit(0);
