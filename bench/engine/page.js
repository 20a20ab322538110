// In the page: times one executor on one stage. Milliseconds, the best of a few.

const HIDDEN = 2048, KV_HEADS = 8, HEAD = 64;

async function bytes(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

async function best(times, run) {
  let least = Infinity;
  for (let i = 0; i < times; ++i) {
    const start = performance.now();
    await run();
    least = Math.min(least, performance.now() - start);
  }
  return least;
}

function noise(count) {
  return Float32Array.from({length: count}, () => 2 * Math.random() - 1);
}

class Whole extends Blob {
  constructor(content) {
    super([]);
    this.content = content;
  }
  get size() { return this.content.length; }
}

async function shoal({variant, format, layers}) {
  const {ShoalExecutor} = await import('/shoal.js');
  const module = await WebAssembly.compile(await bytes(`/wasm/${variant}.wasm`));
  const executor = new ShoalExecutor({
    module, now: () => performance.now(),
    readBlob: (blob, from, to) => blob.content.subarray(from, to),
  });
  const kv = Array.from({length: layers},
      (_, l) => ({block: l + 1, heads: KV_HEADS, head_size: HEAD}));
  const blob = new Whole(await bytes(`/stage/${format}/weights.bin`));
  const weights = new Map([['weights.bin', blob]]);
  await executor.load({first: 1, last: layers + 1, hidden: HIDDEN, vocab: 0, kv},
      {graph: new Blob([await bytes(`/stage/${format}/model.onnx`)]), weights});
  for (let s = 1; s <= 8; ++s) {
    await executor.open(s, 512);
    const groups = [{kv: s, position: 0, rows: 16, logitRows: []}];
    await executor.run({groups, input: noise(16 * HIDDEN)});
  }
  return async (batch, rows, past) => {
    const groups = Array.from({length: batch},
        (_, s) => ({kv: s + 1, position: past, rows, logitRows: []}));
    for (const group of groups) await executor.rollback(group.kv, past);
    const {groups: results} = await executor.run({groups, input: noise(batch * rows * HIDDEN)});
    if (!results.every(({ok}) => ok)) throw new Error(JSON.stringify(results[0]));
  };
}

async function ortWasm({threads, format, layers}) {
  const ort = await import('/ort/ort.wasm.min.mjs');
  ort.env.wasm.wasmPaths = '/ort/';
  ort.env.wasm.numThreads = threads;
  const session = await ort.InferenceSession.create(await bytes(`/stage/${format}/model.onnx`), {
    executionProviders: ['wasm'],
    externalData: [{path: 'weights.bin', data: await bytes(`/stage/${format}/weights.bin`)}],
  });
  return async (batch, rows, past) => {
    const feeds = {
      'hidden.1': new ort.Tensor('float32', noise(batch * rows * HIDDEN), [batch, rows, HIDDEN]),
      seqlens_k: new ort.Tensor('int32', new Int32Array(batch).fill(past + rows - 1), [batch]),
      total_sequence_length: new ort.Tensor('int32', Int32Array.of(past + rows), []),
    };
    for (let block = 1; block <= layers; ++block) {
      for (const which of ['key', 'value']) {
        feeds[`past.${block}.${which}`] = new ort.Tensor('float32',
            new Float32Array(batch * KV_HEADS * past * HEAD), [batch, KV_HEADS, past, HEAD]);
      }
    }
    await session.run(feeds);
  };
}

export async function measure(one) {
  const run = await (one.executor === 'shoal' ? shoal(one) : ortWasm(one));
  return {
    decode_ms: await best(one.executor === 'shoal' ? 20 : 5, () => run(1, 1, 16)),
    decode8_ms: await best(3, () => run(8, 1, 16)),
    prefill64_ms: await best(2, () => run(1, 64, 0)),
  };
}
