// What a decode step costs by its rows, on this machine's GPU:
//
//   rows          n rows of one session in one run
//   in turns      a row each of n sessions, a run each: how the executor of a tab does it
//   side by side  a row each of n sessions in one run, as a batch whose caches lie one after the
//                 other in one buffer per layer
//
//   node bench/webgpu/rows.mjs STAGE [STAGE ...] --webgpu FOLDER [--rows 1,2,4,8]
//       [--context 2048] [--steps 24] [--rounds 2] [--ort FOLDER]
//
// STAGE as for gpu.mjs. The ways take turns; the median is shown. Sessions are of unequal lengths:
// a row of a batch must come out as the same row alone. Moving a session into the batch and out of
// it again, which a session does that has a prompt between two answers, is timed too.
import {parseArgs} from 'node:util';

import {loadOrt, openDevice} from './device.mjs';
import {readStage} from './stage_folder.mjs';

const {values: flags, positionals: folders} = parseArgs({
  allowPositionals: true,
  options: {
    webgpu: {type: 'string'},
    ort: {type: 'string'},
    rows: {type: 'string', default: '1,2,4,8'},
    context: {type: 'string', default: '2048'},
    steps: {type: 'string', default: '24'},
    rounds: {type: 'string', default: '2'},
  },
});
if (folders.length === 0 || flags.webgpu === undefined) {
  console.error('usage: node bench/webgpu/rows.mjs STAGE [STAGE ...] --webgpu FOLDER');
  process.exit(2);
}
const counts = flags.rows.split(',').map(Number);
const [context, steps, rounds] = [flags.context, flags.steps, flags.rounds].map(Number);
const most = Math.max(...counts);
const capacity = context + (steps + 2) * most;
// Of session i before its first step.
const lengthOf = (i) => context - 37 * i;

const usage = {storage: 0x80, copySource: 0x04, copyTarget: 0x08};
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
const noise = (count, scale) =>
  Float32Array.from({length: count}, () => (Math.random() * 2 - 1) * scale);

const {device, name} = await openDevice(flags.webgpu);
const ort = await loadOrt(flags.ort);
console.log(`${name}, Node.js ${process.version}`);

// The caches of `sessions`, one after the other in each buffer.
class Caches {
  constructor(stage, type, sessions) {
    this.valueBytes = type === 'float16' ? 2 : 4;
    this.sessions = sessions;
    this.tensors = new Map();
    for (const {block, heads, head_size: size} of stage.kv) {
      for (const part of ['key', 'value']) {
        const dims = [sessions, heads, capacity, size];
        const bytes = dims.reduce((product, dim) => product * dim, this.valueBytes);
        const buffer = device.createBuffer({
          size: bytes,
          usage: usage.storage | usage.copySource | usage.copyTarget,
        });
        const tensor = ort.Tensor.fromGpuBuffer(buffer, {dataType: type, dims});
        this.tensors.set(`${block}.${part}`, {buffer, tensor, slotBytes: bytes / sessions});
      }
    }
  }

  // The same random values in every session and layer, in its own type.
  fill(values) {
    for (const {buffer, slotBytes} of this.tensors.values()) {
      for (let slot = 0; slot < this.sessions; ++slot) {
        const bytes = new Uint8Array(values.buffer, 0, slotBytes);  // Dawn knows no Float16Array.
        device.queue.writeBuffer(buffer, slot * slotBytes, bytes);
      }
    }
  }

  // All of session `from` of `other` to session `to` of these.
  copy(other, from, to) {
    const encoder = device.createCommandEncoder();
    for (const [key, {buffer, slotBytes}] of this.tensors) {
      const source = other.tensors.get(key).buffer;
      encoder.copyBufferToBuffer(source, from * slotBytes, buffer, to * slotBytes, slotBytes);
    }
    device.queue.submit([encoder.finish()]);
  }

  destroy() {
    for (const {buffer} of this.tensors.values()) buffer.destroy();
  }
}

// `rows` rows of each session from its position on.
async function run(session, {first, last, hidden}, caches, rows, positions, input) {
  const int32 = (values, dims) => new ort.Tensor('int32', Int32Array.from(values), dims);
  const totals = positions.map((position) => position + rows);
  const feeds = {
    [`hidden.${first}`]: new ort.Tensor('float32', input, [positions.length, rows, hidden]),
    seqlens_k: int32(totals.map((total) => total - 1), [positions.length]),
    total_sequence_length: int32([Math.max(...totals)], []),
  };
  const fetches = {[`hidden.${last}`]: null};
  for (const [cache, {tensor}] of caches.tensors) {
    feeds[`past.${cache}`] = tensor;
    fetches[`present.${cache}`] = tensor;
  }
  const results = await session.run(feeds, fetches);
  return results[`hidden.${last}`].data.slice();
}

async function measure(folder) {
  const stage = readStage(folder);
  const {hidden} = stage;
  const presents = stage.kv.flatMap(({block}) => ['key', 'value'].map((p) => `${block}.${p}`));
  const session = await ort.InferenceSession.create(stage.graph, {
    executionProviders: [{name: 'webgpu', device}],
    externalData: [...stage.weights].map(([path, data]) => ({path, data})),
    preferredOutputLocation: Object.fromEntries(
      presents.map((present) => [`present.${present}`, 'gpu-buffer']),
    ),
    extra: {session: {disable_cpu_ep_fallback: '1'}},
  });
  const type = session.inputMetadata.find((input) => input.name.startsWith('past.')).type;
  console.log(`${folder}: ${(stage.bytes / 1e6).toFixed(0)} MB, ${type}, context ${context}`);

  const {heads, head_size: size} = stage.kv[0];
  const floats = noise(heads * capacity * size, 1);
  const past = type === 'float16' ? new Float16Array(floats) : floats;
  const alone = Array.from({length: most}, () => new Caches(stage, type, 1));
  const inputs = noise(most * hidden, 1);
  const rowOf = (i) => inputs.slice(i * hidden, (i + 1) * hidden);
  for (const caches of alone) caches.fill(past);

  const times = new Map();
  const timed = async (key, action) => {
    const start = performance.now();
    const result = await action();
    const list = times.get(key) ?? [];
    times.set(key, list);
    list.push(performance.now() - start);
    return result;
  };

  let [worst, scale] = [0, 0];
  for (let round = 0; round < rounds; ++round) {
    for (const count of counts) {
      const batch = new Caches(stage, type, count);
      for (let i = 0; i < count; ++i) {
        await timed('a session moved', async () => {
          batch.copy(alone[i], 0, i);
          await device.queue.onSubmittedWorkDone();
        });
      }
      const some = inputs.slice(0, count * hidden);
      for (let step = -2; step < steps; ++step) {
        const keep = step < 0 ? 'warm-up' : count;
        const at = (i) => lengthOf(i) + step + 2;
        await timed(`rows ${keep}`, () =>
          run(session, stage, alone[most - 1], count, [context - most + step], some),
        );
        const apart = await timed(`in turns ${keep}`, async () => {
          const outputs = [];
          for (let i = 0; i < count; ++i) {
            outputs.push(await run(session, stage, alone[i], 1, [at(i)], rowOf(i)));
          }
          return outputs;
        });
        const positions = Array.from({length: count}, (_, i) => at(i));
        const together = await timed(`side by side ${keep}`, () =>
          run(session, stage, batch, 1, positions, some),
        );
        for (const [i, value] of together.entries()) {
          const expected = apart[Math.floor(i / hidden)][i % hidden];
          worst = Math.max(worst, Math.abs(value - expected));
          scale = Math.max(scale, Math.abs(expected));
        }
      }
      batch.destroy();
      for (const caches of alone) caches.fill(past);
    }
  }
  console.log(`side by side differs from in turns by ${(worst / scale).toExponential(1)}`);
  console.log(`a session moved: ${median(times.get('a session moved')).toFixed(2)} ms`);
  for (const way of ['rows', 'in turns', 'side by side']) {
    const cells = counts.map((count) => median(times.get(`${way} ${count}`)).toFixed(2));
    console.log(`ms a step, ${way.padEnd(13)} ${counts.join(', ')}: ${cells.join('  ')}`);
  }
  for (const caches of alone) caches.destroy();
  await session.release();
}

for (const folder of folders) await measure(folder);
process.exit(0);
