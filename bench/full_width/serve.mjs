// A pack served to tabs of headless Chromium on this machine: seconds a token, bytes a hop, how
// fast each stage goes through its weights beside what a loop over memory reads in the same run,
// and the peak memory of the coordinator and of each tab.
//
//   node bench/full_width/serve.mjs SHOAL PACK [--tabs 2] [--executor shoal] [--memory 3G]
//                                   [--tokens 16] [--context 256] [--threads 2]
//
// Needs the built pages (npm run build, in web/). Memory is the proportional set size of a tab's
// renderer, less a blank page's, and the coordinator's resident set, once a second.
import {execFileSync, spawn} from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {createInterface} from 'node:readline';
import {Readable} from 'node:stream';
import {setTimeout as sleep} from 'node:timers/promises';
import {parseArgs} from 'node:util';

import {BareBrowser, blankMemory} from '../bare_browser.mjs';

const root = path.resolve(import.meta.dirname, '../..');
const {values: flags, positionals} = parseArgs({
  allowPositionals: true,
  options: {
    tabs: {type: 'string', default: '2'},
    executor: {type: 'string', default: 'shoal'},
    memory: {type: 'string', default: '3G'},
    tokens: {type: 'string', default: '16'},
    context: {type: 'string', default: '256'},
    threads: {type: 'string', default: '2'},
    hop: {type: 'string', default: 'f32'},
  },
});
const [binary, pack] = positionals;
if (!pack) {
  console.error('usage: node bench/full_width/serve.mjs SHOAL PACK [--tabs 2] ...');
  process.exit(2);
}
const loadMsMax = 540_000;
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'shoal-full-width-'));
process.on('exit', () => fs.rmSync(folder, {recursive: true}));
const trace = path.join(folder, 'trace.jsonl');

const kib = (text, field) =>
  Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0);
const resident = (pid, field) => kib(fs.readFileSync(`/proc/${pid}/status`, 'utf8'), field) * 1024;
const gib = (bytes) => `${(bytes / 2 ** 30).toFixed(2)} GiB`;

async function startCoordinator() {
  const child = spawn(binary, [
    'serve', pack, '--port', '0', '--pages', path.join(root, 'web/dist'), '--stages', flags.tabs,
    '--context', flags.context, '--hop', flags.hop, '--trace', trace,
  ], {stdio: ['ignore', 'pipe', 'inherit']});
  for await (const line of createInterface({input: child.stdout})) {
    const match = /^listening on (\S+)$/.exec(line);
    if (match) return {child, url: match[1]};
  }
  throw new Error('the coordinator ended');
}

function openTab(url) {
  const query = new URLSearchParams(
      {auto: '1', executor: flags.executor, memory: flags.memory, threads: flags.threads});
  const browserFlags = flags.executor === 'ort-webgpu' ? ['--enable-unsafe-webgpu'] : [];
  return {browser: new BareBrowser(`${url}/lend?${query}`, browserFlags), peak: 0};
}

async function untilReady(url) {
  for (const start = Date.now(); Date.now() - start < loadMsMax; await sleep(500)) {
    const status = await (await fetch(`${url}/status.json`)).json();
    if (status.ready) return status;
  }
  throw new Error('the tabs did not load in time');
}

// When the question was asked and when each token of the streamed answer came, in ms.
async function ask(url) {
  const {data: [model]} = await (await fetch(`${url}/v1/models`)).json();
  const times = [performance.now()];
  const response = await fetch(`${url}/v1/completions`, {
    method: 'POST',
    headers: {'content-type': 'application/json'},
    body: JSON.stringify({
      model: model.id, prompt: [5, 6, 7, 8, 9, 10, 11, 12], max_tokens: Number(flags.tokens),
      temperature: 0, stream: true, return_token_ids: true,
      logit_bias: {0: -100, 4: -100},
    }),
  });
  if (!response.ok) throw new Error(await response.text());
  for await (const line of createInterface({input: Readable.fromWeb(response.body)})) {
    const ids = line.startsWith('data: {') ? JSON.parse(line.slice(6)).choices[0]?.token_ids : [];
    for (let i = 0; i < (ids?.length ?? 0); ++i) times.push(performance.now());
  }
  return times;
}

// GB/s of the engine's bench, with one thread.
function readBandwidth() {
  const command = ['bench', 'engine', pack, '--last', '1', '--threads', '1', '--prefill', '1'];
  const said = execFileSync(binary, command, {encoding: 'utf8'});
  return Number(/memory is read at ([\d.]+) GB/.exec(said)[1]);
}

const blank = (await blankMemory()).renderer;
const {child, url} = await startCoordinator();
const tabs = [];
let sampling = true;
try {
  for (let i = 0; i < Number(flags.tabs); ++i) tabs.push(openTab(url));
  const sampler = (async () => {
    while (sampling) {
      for (const tab of tabs) {
        tab.peak = Math.max(tab.peak, tab.browser.memory().renderer - blank);
      }
      await sleep(1000);
    }
  })();
  const start = performance.now();
  const status = await untilReady(url);
  console.log(`loaded in ${((performance.now() - start) / 1000).toFixed(1)} s`);
  for (const volunteer of status.volunteers) {
    const {id, blocks, executor, memory_bytes: memory, bytes_total: total} = volunteer;
    console.log(`volunteer ${id}: ${executor}, blocks ${JSON.stringify(blocks)}, ` +
                `weights ${gib(total ?? memory)}`);
  }
  const times = await ask(url);
  const steps = times.slice(2).map((time, i) => (time - times[i + 1]) / 1000).sort((a, b) => a - b);
  console.log(`first token after ${((times[1] - times[0]) / 1000).toFixed(2)} s, then ` +
              `${steps[steps.length >> 1].toFixed(3)} s a token (median of ${steps.length})`);
  sampling = false;
  await sampler;
  tabs.forEach((tab, i) => {
    const now = tab.browser.memory().renderer - blank;
    console.log(`tab ${i + 1}: at most ${gib(tab.peak)} over a blank page, ${gib(now)} in the end`);
  });
  console.log(`coordinator: at most ${gib(resident(child.pid, 'VmHWM'))}`);
  const decode = fs.readFileSync(trace, 'utf8').trim().split('\n').map((line) => JSON.parse(line))
      .filter((event) => event.event === 'step' && event.rows === 1);
  for (const first of new Set(decode.map((step) => step.first))) {
    const steps_here = decode.filter((step) => step.first === first);
    const mean = (field) =>
      steps_here.reduce((sum, step) => sum + step[field], 0) / steps_here.length;
    const volunteer = status.volunteers.find(({blocks}) => blocks.some(([from]) => from === first));
    const seconds = mean('compute_us') / 1e6;
    console.log(`stage from block ${first}: ${Math.round(mean('bytes_in'))} bytes in, ` +
                `${Math.round(mean('bytes_out'))} out a token; computes ` +
                `${(seconds * 1000).toFixed(1)} ms, ` +
                `${(volunteer.bytes_total / seconds / 1e9).toFixed(2)} GB/s of weights`);
  }
} finally {
  sampling = false;
  for (const tab of tabs) await tab.browser.close();
  child.kill('SIGTERM');
}
console.log(`memory is read at ${readBandwidth()} GB/s with one thread`);
