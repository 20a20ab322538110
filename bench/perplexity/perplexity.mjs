// What narrower weights cost: packs a trained checkpoint in every width and takes the perplexity of
// each pack through the split pipeline, on the ids and windows of the checkpoint's reference.json.
//
//   node bench/perplexity/perplexity.mjs SHOAL [CHECKPOINT]
//     --weights f32,f16,q8,q4   which packs
//     --cuts 5,10               stages [0, 5) [5, 10) [10, end)
//     --executors shoal,ort     `shoal eval`, with hops through the wire codec; onnxruntime-node
//     --kv f32                  how `shoal eval` keeps keys and values: f32, f16 or q8
//
// Every window is fed alone from position 0; the mean negative log-likelihood of its ids counts.
import {execFileSync} from 'node:child_process';
import fs from 'node:fs';
import {createRequire} from 'node:module';
import os from 'node:os';
import path from 'node:path';
import {parseArgs} from 'node:util';

const root = path.resolve(import.meta.dirname, '../..');
const {values: flags, positionals} = parseArgs({
  allowPositionals: true,
  options: {
    weights: {type: 'string', default: 'f32,f16,q8,q4'},
    cuts: {type: 'string', default: '5,10'},
    executors: {type: 'string', default: 'shoal,ort'},
    kv: {type: 'string', default: 'f32'},
  },
});
const [binary, checkpoint = path.join(root, 'models/storyteller')] = positionals;
if (!binary) {
  console.error('usage: node bench/perplexity/perplexity.mjs SHOAL [CHECKPOINT] [--weights ...]');
  process.exit(2);
}
const cuts = flags.cuts.split(',').filter(Boolean).map(Number);
const reference = JSON.parse(fs.readFileSync(path.join(checkpoint, 'reference.json'), 'utf8'));
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'shoal-perplexity-'));
process.on('exit', () => fs.rmSync(folder, {recursive: true}));

function shoal(...args) {
  return execFileSync(binary, args, {encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe']});
}

// The sum of the negative log-likelihoods of `next[row]` under the logits' rows.
function sumOfLosses(logits, vocab, next) {
  let sum = 0;
  next.forEach((id, row) => {
    const values = logits.subarray(row * vocab, (row + 1) * vocab);
    let largest = -Infinity;
    for (const value of values) largest = Math.max(largest, value);
    let total = 0;
    for (const value of values) total += Math.exp(value - largest);
    sum += largest + Math.log(total) - values[id];
  });
  return sum;
}

function readNpy(file) {
  const content = fs.readFileSync(file);
  const start = 10 + content.readUInt16LE(8);
  return new Float32Array(content.buffer.slice(content.byteOffset + start,
                                               content.byteOffset + content.length));
}

// Each executor: a pack to a function from a window's ids to its logits.
const executors = {
  async shoal(pack) {
    const file = path.join(folder, 'logits.npy');
    return async (ids) => {
      const how = ['--kv', flags.kv, ...(cuts.length === 0 ? [] : ['--cuts', cuts.join(',')])];
      shoal('eval', pack.folder, '--ids', ids.join(','), '--logits', file, ...how);
      return readNpy(file);
    };
  },
  async ort(pack) {
    const ort = createRequire(path.join(root, 'web/package.json'))('onnxruntime-node');
    const borders = [0, ...cuts, pack.blocks];
    const stages = [];
    for (let i = 0; i + 1 < borders.length; ++i) {
      const at = path.join(folder, `${pack.weights}-${borders[i]}`);
      shoal('stage', pack.folder, String(borders[i]), String(borders[i + 1]), '-o', at);
      stages.push({
        kv: JSON.parse(fs.readFileSync(path.join(at, 'stage.json'), 'utf8')).kv,
        session: await ort.InferenceSession.create(path.join(at, 'model.onnx')),
      });
    }
    return async (ids) => {
      const int32 = (numbers, dims) => new ort.Tensor('int32', Int32Array.from(numbers), dims);
      const feeds = {
        tokens: int32(ids, [1, ids.length]),
        seqlens_k: int32([ids.length - 1], [1]),
        total_sequence_length: int32([ids.length], []),
        logit_rows: int32(ids.keys(), [ids.length]),
      };
      for (const {kv, session} of stages) {
        for (const {block, heads, head_size} of kv) {
          for (const part of ['key', 'value']) {
            feeds[`past.${block}.${part}`] =
                new ort.Tensor('float32', new Float32Array(0), [1, heads, 0, head_size]);
          }
        }
        Object.assign(feeds, await session.run(
            Object.fromEntries(session.inputNames.map((name) => [name, feeds[name]]))));
      }
      return feeds.logits.data;
    };
  },
};

function makePack(weights) {
  const at = path.join(folder, `${weights}.pack`);
  shoal('pack', checkpoint, '-o', at, '--weights', weights);
  const manifest = JSON.parse(fs.readFileSync(path.join(at, 'manifest.json'), 'utf8'));
  const blobs = new Set(manifest.variants[0].blocks.flatMap((block) => block.weights));
  let bytes = 0;
  for (const sha of blobs) bytes += manifest.blobs[sha].bytes;
  return {folder: at, weights, bytes, blocks: manifest.model.layers + 2, model: manifest.model};
}

const size = reference.perplexity_window;
const windows = reference.perplexity_tokens / size;
console.log(`reference: ${reference.perplexity_float32.toFixed(4)} ` +
            `on ${reference.perplexity_tokens} ids; cuts at ${cuts}`);
console.log('| weights | bytes | bytes per weight | executor | perplexity | over the reference |');
console.log('|---|---|---|---|---|---|');
for (const weights of flags.weights.split(',')) {
  const pack = makePack(weights);
  for (const executor of flags.executors.split(',')) {
    const run = await executors[executor](pack);
    let loss = 0;
    for (let window = 0; window < windows; ++window) {
      const ids = reference.valid_ids.slice(window * size, (window + 1) * size + 1);
      loss += sumOfLosses(await run(ids.slice(0, size)), pack.model.vocab, ids.slice(1));
    }
    const perplexity = Math.exp(loss / (windows * size));
    const over = (perplexity / reference.perplexity_float32 - 1) * 100;
    console.log(`| ${weights} | ${pack.bytes} | ${(pack.bytes / pack.model.params).toFixed(3)} | ` +
                `${executor} | ${perplexity.toFixed(4)} | ${over.toFixed(3)} % |`);
  }
}
