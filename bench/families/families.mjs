// What narrower weights cost each family: packs the golden checkpoints in each width and compares
// `shoal eval`'s logits of the reference's prompt with the reference's, which are float32.
//
//   node bench/families/families.mjs SHOAL [FOLDER]
//     --weights q8,q4   which packs
//     --kinds a,b       which of the folder's checkpoints; default: all
//     --exact           float activations
//
// FOLDER holds checkpoints with ref.json and ref_logits.npy, by default tests/golden/hf. Two
// figures for each pack, in percent: |logits - reference| / |reference| over all rows together, and
// the median of the same of each row.
import {execFileSync} from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {parseArgs} from 'node:util';

const root = path.resolve(import.meta.dirname, '../..');
const {values: flags, positionals} = parseArgs({
  allowPositionals: true,
  options: {
    weights: {type: 'string', default: 'q8,q4'},
    kinds: {type: 'string'},
    exact: {type: 'boolean', default: false},
  },
});
const [binary, checkpoints = path.join(root, 'tests/golden/hf')] = positionals;
if (!binary) {
  console.error('usage: node bench/families/families.mjs SHOAL [FOLDER] [--weights ...]');
  process.exit(2);
}
const widths = flags.weights.split(',');
const kinds = flags.kinds?.split(',') ?? fs.readdirSync(checkpoints).sort();
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'shoal-families-'));
process.on('exit', () => fs.rmSync(folder, {recursive: true}));

function shoal(...args) {
  execFileSync(binary, args, {stdio: ['ignore', 'ignore', 'pipe']});
}

// Of a file in NumPy's format, version 1, that holds float32.
function readNpy(file) {
  const content = fs.readFileSync(file);
  const start = 10 + content.readUInt16LE(8);
  return new Float32Array(content.buffer.slice(content.byteOffset + start,
                                               content.byteOffset + content.length));
}

// Squared: of the difference of two equally long vectors, and of the second.
function distance(values, reference) {
  let off = 0;
  let whole = 0;
  reference.forEach((value, i) => {
    off += (values[i] - value) ** 2;
    whole += value ** 2;
  });
  return {off, whole};
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

// Percent: of all rows, and of the median row.
function errors(checkpoint, weights) {
  const {prompt_ids: ids} = JSON.parse(fs.readFileSync(path.join(checkpoint, 'ref.json'), 'utf8'));
  const pack = path.join(folder, 'pack');
  const file = path.join(folder, 'logits.npy');
  shoal('pack', checkpoint, '-o', pack, '--weights', weights);
  const how = flags.exact ? ['--exact'] : [];
  shoal('eval', pack, '--ids', ids.join(','), '--logits', file, ...how);
  fs.rmSync(pack, {recursive: true});
  const logits = readNpy(file);
  const reference = readNpy(path.join(checkpoint, 'ref_logits.npy'));
  if (logits.length !== reference.length) throw new Error(`${checkpoint}: other numbers of logits`);
  const vocab = logits.length / ids.length;
  const rows = ids.map((_, row) => {
    const {off, whole} = distance(logits.subarray(row * vocab, (row + 1) * vocab),
                                  reference.subarray(row * vocab, (row + 1) * vocab));
    return Math.sqrt(off / whole);
  });
  const {off, whole} = distance(logits, reference);
  return [Math.sqrt(off / whole), median(rows)].map((error) => (error * 100).toFixed(1));
}

console.log(`| | ${widths.map((weights) => `\`${weights}\` all | median`).join(' | ')} |`);
console.log(`|${'---|'.repeat(1 + 2 * widths.length)}`);
for (const kind of kinds) {
  const figures = widths.flatMap((weights) => errors(path.join(checkpoints, kind), weights));
  console.log(`| \`${kind}\` | ${figures.join(' | ')} |`);
}
