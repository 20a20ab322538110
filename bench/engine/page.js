// In the page: times one executor on one stage. Milliseconds, the best of a few. Executors run in a
// Worker, which this file is, too: no page may wait for other threads.

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

function startThread() {
  return new Worker('/thread.js', {type: 'module'});
}

async function shoal({variant, threads, format, layers}) {
  const {ShoalExecutor} = await import('/shoal.js');
  const module = await WebAssembly.compile(await bytes(`/wasm/${variant}.wasm`));
  const executor = new ShoalExecutor({
    module, now: () => performance.now(),
    threads: {count: threads, create: startThread},
    openChunks: async () => [],
    readBlob: (blob, offset, target) =>
      target.set(blob.content.subarray(offset, offset + target.length)),
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

async function measureHere(one) {
  const isOurs = one.variant !== undefined;
  const run = await (isOurs ? shoal(one) : ortWasm(one));
  return {
    decode_ms: await best(isOurs ? 20 : 5, () => run(1, 1, 16)),
    decode8_ms: await best(3, () => run(8, 1, 16)),
    prefill64_ms: await best(2, () => run(1, 64, 0)),
  };
}

// Tokens may come in bursts: the whole of 41 less the whole of one, divided by 40.
async function wllama() {
  const {Wllama} = await import('/wllama/index.js');
  const wllama = new Wllama({default: '/wllama/wasm/wllama.wasm'}, {suppressNativeLog: true});
  const model = new Blob([await bytes('/stage/gguf/model.gguf')]);
  await wllama.loadModel([model], {n_ctx: 256, n_threads: 1, n_gpu_layers: 0});
  const time = async (tokens) => await best(2, async () => {
    const answer = await wllama.createCompletion(
        {prompt: 'a', max_tokens: tokens, temperature: 0, cache_prompt: false});
    if (answer.usage !== undefined && answer.usage.completion_tokens !== tokens) {
      throw new Error(`wllama made ${answer.usage.completion_tokens} tokens`);
    }
  });
  const one = await time(1);
  return {decode_ms: (await time(41) - one) / 40};
}

export async function measure(one) {
  if (one.format === 'gguf') return await wllama();
  const worker = new Worker('/page.js', {type: 'module', name: 'bench'});
  return await new Promise((resolve, reject) => {
    worker.onmessage = ({data}) => data.error ? reject(new Error(data.error)) : resolve(data);
    worker.onerror = (event) => reject(new Error(event.message));
    worker.postMessage(one);
  }).finally(() => worker.terminate());
}

if (globalThis.name === 'bench') {
  onmessage = async ({data}) => {
    try {
      postMessage(await measureHere(data));
    } catch (thrown) {
      postMessage({error: String(thrown.stack ?? thrown)});
    }
  };
}
