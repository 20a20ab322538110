// Peak memory of a tab that holds a stage on the GPU: the GPU process and the renderer, each less a
// blank page's, from before the download to the tenth step.
//
//   shoal stage PACK 1 14 -o STAGE --context 512
//   node bench/webgpu/memory.mjs STAGE [--executor ort-webgpu] [--steps 10] [--rows 4]
//                                      [--threads 1] [--flags=--enable-unsafe-webgpu] [--timeline]
//
// Node.js 24 or later, which reads TypeScript; the built pages (npm run build, in web/); Chromium.
// Memory is the proportional set size. With the software adapter, Chromium's default without a
// GPU, what lies on the GPU lies in the GPU process. `--rows` bounds a chunk of prefill, which a
// stage runs once before it counts as ready: software takes minutes for a large one. `--timeline`
// prints every sample: phase, GPU process, renderer, in MB, the blank page's included.
import fs from 'node:fs';
import {setTimeout as sleep} from 'node:timers/promises';
import {parseArgs} from 'node:util';

import {FakeCoordinator} from '../../web/e2e/harness/fake_coordinator.ts';
import {testCore} from '../../web/volunteer/testing/frames.ts';
import {BareBrowser, blankMemory} from '../bare_browser.mjs';

const {values: flags, positionals: [folder]} = parseArgs({
  allowPositionals: true,
  options: {
    executor: {type: 'string', default: 'ort-webgpu'},
    steps: {type: 'string', default: '10'},
    rows: {type: 'string', default: '4'},
    memory: {type: 'string', default: '2G'},
    threads: {type: 'string', default: '1'},
    flags: {type: 'string', default: '--enable-unsafe-webgpu'},
    timeline: {type: 'boolean', default: false},
  },
});
if (folder === undefined) {
  console.error('usage: node bench/webgpu/memory.mjs STAGE [--executor ort-webgpu] ...');
  process.exit(2);
}
const sampleMs = 250;
const limitMs = 3_600_000;

const core = await testCore();
const chromiumFlags = flags.flags.split(' ');
const base = await blankMemory(chromiumFlags);
const coordinator = await FakeCoordinator.start(core);
const stage = {...JSON.parse(fs.readFileSync(`${folder}/stage.json`, 'utf8')), folder};
const assign = {...coordinator.assignment(stage), max_rows: Number(flags.rows)};
const stageBytes = coordinator.bytesOf(stage);
const query = `auto=1&executor=${flags.executor}&memory=${flags.memory}&threads=${flags.threads}`;
const browser = new BareBrowser(`${coordinator.url}/lend?${query}`, chromiumFlags);
const volunteer = await coordinator.volunteer(1);

const peaks = {GPU: 0, renderer: 0};
let phase = 'download';
const byPhase = {};
let over = false;
const sampling = (async () => {
  while (!over) {
    const now = browser.memory();
    if (flags.timeline) console.log(phase, ...Object.values(now).map((b) => Math.round(b / 1e6)));
    for (const [kind, bytes] of Object.entries(now)) {
      const more = bytes - base[kind];
      peaks[kind] = Math.max(peaks[kind], more);
      byPhase[phase] ??= {GPU: 0, renderer: 0};
      byPhase[phase][kind] = Math.max(byPhase[phase][kind], more);
    }
    await sleep(sampleMs);
  }
})();

async function until(what, find) {
  for (const end = Date.now() + limitMs; Date.now() < end; await sleep(50)) {
    const error = volunteer.frames.find((frame) => frame.kind === 'error');
    if (error !== undefined) throw new Error(error.body.detail);
    const found = find();
    if (found !== undefined) return found;
  }
  throw new Error(`${what} took more than ${limitMs} ms`);
}

const start = performance.now();
volunteer.send('assign', assign);
const find = (fits) => volunteer.frames.find(({kind, body}) => kind === 'ready' && fits(body));
await until('the download', () => find((ready) => ready.bytes_done === ready.bytes_total));
console.log(`downloaded after ${((performance.now() - start) / 1e3).toFixed(1)} s`);
phase = 'build';
await until('loading', () => find((ready) => ready.done));
console.log(`ready after ${((performance.now() - start) / 1e3).toFixed(1)} s`);
phase = 'steps';
const session = 1n;
// The hidden states go to a node that is not there.
const opened = {session, next: 2, epoch: 1, generation: 1, hop: 'f32', capacity: 256, keep: 0};
volunteer.send('open', opened);
for (let position = 0; position < Number(flags.steps); ++position) {
  const input = Float32Array.from({length: stage.hidden}, () => Math.random() * 2 - 1);
  volunteer.send('step', {
    rows: [{session, epoch: 1, position, flags: 0}],
    type: 'f32',
    width: stage.hidden,
    sampling: [],
    payload: new Uint8Array(input.buffer),
  });
  const report = await until('a step', () => {
    const index = volunteer.frames.findIndex(({kind}) => kind === 'report');
    return index === -1 ? undefined : volunteer.frames.splice(index, 1)[0];
  });
  console.log(`step ${position}: ${(report.body.compute_us / 1e6).toFixed(2)} s`);
}
over = true;
await sampling;

const mb = (bytes) => `${(bytes / 1e6).toFixed(0)} MB`;
const share = (bytes) => `${(bytes / stageBytes).toFixed(2)}x`;
console.log(`stage: ${mb(stageBytes)}`);
console.log(`blank page: GPU ${mb(base.GPU)}, renderer ${mb(base.renderer)}`);
for (const [name, sums] of [...Object.entries(byPhase), ['peak', peaks]]) {
  const cells = Object.entries(sums).map(([kind, b]) => `${kind} ${mb(b)} (${share(b)})`);
  console.log(`${name}: ${cells.join(', ')}`);
}
await browser.close();
await coordinator.stop();
