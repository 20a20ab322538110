// The native engine beside native ONNX Runtime (onnxruntime-node), on one stage of random 4-bit
// weights: 4 layers, hidden 2048, ffn 8192, 32/8 heads of 64. The two take turns, so that both see
// the same machine; the best of each counts.
//
//   node bench/engine/native.mjs BUILD_FOLDER [rounds]
import {execFileSync} from 'node:child_process';
import fs from 'node:fs';
import {createRequire} from 'node:module';
import os from 'node:os';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');
const ort = createRequire(path.join(root, 'web/package.json'))('onnxruntime-node');
const build = process.argv[2];
const rounds = Number(process.argv[3] ?? 3);
if (!build) {
  console.error('usage: node bench/engine/native.mjs BUILD_FOLDER [rounds]');
  process.exit(2);
}
const binary = path.join(build, 'src/volunteer/engine_bench');
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'shoal-bench-'));

const LAYERS = 4, HIDDEN = 2048, KV_HEADS = 8, HEAD = 64;

function feeds(batch, rows, past) {
  const noise = Float32Array.from({length: batch * rows * HIDDEN}, () => 2 * Math.random() - 1);
  const all = {
    'hidden.1': new ort.Tensor('float32', noise, [batch, rows, HIDDEN]),
    seqlens_k: new ort.Tensor('int32', new Int32Array(batch).fill(past + rows - 1), [batch]),
    total_sequence_length: new ort.Tensor('int32', Int32Array.of(past + rows), []),
  };
  for (let block = 1; block <= LAYERS; ++block) {
    for (const which of ['key', 'value']) {
      all[`past.${block}.${which}`] = new ort.Tensor(
          'float32', new Float32Array(batch * KV_HEADS * past * HEAD),
          [batch, KV_HEADS, past, HEAD]);
    }
  }
  return all;
}

async function best(session, batch, rows, past, times) {
  const input = feeds(batch, rows, past);
  let least = Infinity;
  for (let i = 0; i < times; ++i) {
    const start = performance.now();
    await session.run(input);
    least = Math.min(least, performance.now() - start);
  }
  return least;
}

async function runOnnxRuntime(threads) {
  const session = await ort.InferenceSession.create(path.join(folder, 'model.onnx'),
      {intraOpNumThreads: threads, interOpNumThreads: 1});
  const result = {
    executor: 'onnxruntime-node', threads,
    decode_ms: await best(session, 1, 1, 16, 30),
    decode8_ms: await best(session, 8, 1, 16, 8),
    prefill64_ms: await best(session, 1, 64, 0, 4),
    prefill512_ms: await best(session, 1, 512, 0, 2),
  };
  await session.release();
  return result;
}

try {
  execFileSync(binary, ['--write', folder]);
  for (const threads of [1, 2]) {
    const least = {};
    for (let round = 0; round < rounds; ++round) {
      const printed = execFileSync(binary, ['--threads', String(threads)], {encoding: 'utf8'});
      const ours = JSON.parse(printed);
      for (const result of [ours, await runOnnxRuntime(threads)]) {
        const kept = least[result.executor] ??= {...result};
        for (const [key, value] of Object.entries(result)) {
          if (key.endsWith('_ms')) kept[key] = Math.min(kept[key], value);
          if (key.endsWith('_gbps')) kept[key] = Math.max(kept[key], value);
        }
      }
    }
    const load = os.loadavg()[0].toFixed(1);
    console.log(`\n${threads} thread(s), best of ${rounds} rounds, load ${load}`);
    const figures = (result) => Object.fromEntries(Object.entries(result)
        .filter(([key]) => /_(ms|gbps)$/.test(key))
        .map(([key, value]) => [key, Number(value.toFixed(2))]));
    console.table(Object.fromEntries(
        Object.values(least).map((result) => [result.executor, figures(result)])));
  }
} finally {
  fs.rmSync(folder, {recursive: true});
}
