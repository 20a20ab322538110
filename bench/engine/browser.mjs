// The engine in WebAssembly beside ONNX Runtime Web's CPU backend and llama.cpp (wllama), in
// headless Chromium, on a stage of random weights: 4 layers, hidden 2048, ffn 8192, 32/8 heads of
// 64. All take turns, so that they see the same machine; the best of each counts. f32 weights
// (976 MB) are measured on one layer and counted four times.
//
//   node bench/engine/browser.mjs BUILD_FOLDER WASM_BUILD_FOLDER [rounds [PATTERN]]
//
// PATTERN: of the names of the cases that are run; ratios are printed when all are.
import {execFileSync} from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import {createRequire} from 'node:module';
import os from 'node:os';
import path from 'node:path';

import {writeGguf} from './gguf.mjs';

const root = path.resolve(import.meta.dirname, '../..');
const require = createRequire(path.join(root, 'web/package.json'));
const {chromium} = require('playwright-core');
const {rolldown} = await import(require.resolve('rolldown'));
const [build, wasm, rounds = '2', pattern = ''] = process.argv.slice(2);
if (!wasm) {
  console.error('usage: node bench/engine/browser.mjs BUILD_FOLDER WASM_BUILD_FOLDER [rounds]');
  process.exit(2);
}
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'shoal-bench-'));

function writeStage(format, layers) {
  const target = path.join(folder, format);
  fs.mkdirSync(target);
  if (format === 'gguf') {
    const shape = {layers, hidden: 2048, ffn: 8192, heads: 32, kvHeads: 8, headSize: 64};
    return fs.writeFileSync(path.join(target, 'model.gguf'), writeGguf({...shape, positions: 512}));
  }
  execFileSync(path.join(build, 'src/volunteer/engine_bench'),
      ['--format', format, '--layers', String(layers), '--write', target]);
}

async function serve() {
  const bundled = async (name) => {
    const input = path.join(root, 'web/volunteer/executors', name);
    const bundle = await rolldown({input});
    return (await bundle.generate({format: 'esm'})).output[0].code;
  };
  const [executor, thread] = await Promise.all(['shoal.ts', 'shoal_thread.worker.ts'].map(bundled));
  const wllama = path.dirname(require.resolve('@wllama/wllama'));
  const ortDist = path.dirname(require.resolve('onnxruntime-web/wasm'));
  const routes = [
    [/^\/$/, () => ['text/html', '<!doctype html><title>bench</title>']],
    [/^\/shoal\.js$/, () => ['text/javascript', executor]],
    [/^\/thread\.js$/, () => ['text/javascript', thread]],
    [/^\/wllama\/(index\.js|wasm\/wllama\.wasm)$/, (m) => [
      m[1].endsWith('.wasm') ? 'application/wasm' : 'text/javascript',
      fs.readFileSync(path.join(wllama, m[1]))]],
    [/^\/((?:page|dots)\.js)$/, (m) => ['text/javascript',
      fs.readFileSync(path.join(import.meta.dirname, m[1]))]],
    [/^\/ort\/(.+)$/, (m) => [m[1].endsWith('.wasm') ? 'application/wasm' : 'text/javascript',
      fs.readFileSync(path.join(ortDist, path.basename(m[1])))]],
    [/^\/wasm\/(.+)$/, (m) => ['application/wasm',
      fs.readFileSync(path.join(wasm, 'src/wasm', path.basename(m[1])))]],
    [/^\/stage\/(\w+)\/([\w.]+)$/, (m) => ['application/octet-stream',
      fs.readFileSync(path.join(folder, m[1], m[2]))]],
  ];
  const server = http.createServer((request, response) => {
    for (const [pattern, answer] of routes) {
      const match = pattern.exec(request.url);
      if (!match) continue;
      try {
        const [type, body] = answer(match);
        response.writeHead(200, {'content-type': type, 'cross-origin-opener-policy': 'same-origin',
          'cross-origin-embedder-policy': 'require-corp'});
        return response.end(body);
      } catch { break; }
    }
    response.writeHead(404).end();
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

const cases = [
  {name: 'shoal relaxed', variant: 'shoal_engine_relaxed', format: 'q4'},
  {name: 'shoal relaxed, threads module', variant: 'shoal_engine_relaxed_threads', format: 'q4'},
  {name: 'shoal relaxed, 2 threads', variant: 'shoal_engine_relaxed_threads', threads: 2,
    format: 'q4'},
  {name: 'shoal plain', variant: 'shoal_engine', format: 'q4'},
  {name: 'shoal plain, 2 threads', variant: 'shoal_engine_threads', threads: 2, format: 'q4'},
  {name: 'ort-wasm q4', format: 'q4'},
  {name: 'ort-wasm int8', format: 'int8'},
  {name: 'ort-wasm f32', format: 'f32', layers: 1},
  {name: 'wllama Q4_0', format: 'gguf'},
].map((one) => ({threads: 1, layers: 4, ...one})).filter(({name}) => name.match(pattern));

// What is asked of the engine: [what, figure, of, to, at least]; ratios of milliseconds.
const targets = [];
for (const [kind, prefill] of [['relaxed', 4], ['plain', 1.3]]) {
  const ours = `shoal ${kind}`;
  targets.push(
      [`${kind}: decode, ort-wasm q4`, 'decode_ms', 'ort-wasm q4', ours, 25],
      [`${kind}: decode, ort-wasm int8`, 'decode_ms', 'ort-wasm int8', ours, 3],
      [`${kind}: decode, ort-wasm f32`, 'decode_ms', 'ort-wasm f32', ours, 2.5],
      [`${kind}: decode, wllama`, 'decode_ms', 'wllama Q4_0', ours, 4],
      [`${kind}: two threads`, 'decode_ms', ours, `${ours}, 2 threads`, 1.7],
      [`${kind}: prefill 64, ort-wasm q4`, 'prefill64_ms', 'ort-wasm q4', ours, prefill]);
}

// Multiply-adds of one row: queries and outputs, keys and values, the feed-forward part.
const rowMultiplyAdds = 4 * (2 * 2048 * 2048 + 2 * 2048 * 512 + 3 * 2048 * 8192);

function printRatios(least, dots) {
  console.table(Object.fromEntries(targets.map(([what, figure, of, to, atLeast]) =>
    [what, {times: Number((least[of][figure] / least[to][figure]).toFixed(2)), asked: atLeast}])));
  for (const kind of ['relaxed', 'plain']) {
    const {decode_ms: one, decode8_ms: eight} = least[`shoal ${kind}`];
    const times = (eight / one).toFixed(2);
    console.log(`${kind}: eight rows cost ${times} times one (asked: at most 3)`);
    const reached = (8 * rowMultiplyAdds / eight / 1e6).toFixed(0);
    console.log(`${kind}: they make ${reached} billion multiply-adds a second, where dots that ` +
      `load nothing make ${dots[kind].toFixed(0)}`);
  }
}

let server;
let browser;

async function onPage(work) {
  const page = await browser.newPage();
  try {
    await page.goto(`http://127.0.0.1:${server.address().port}/`);
    return await work(page);
  } finally {
    await page.close();
  }
}

try {
  for (const {format, layers} of cases) {
    if (!fs.existsSync(path.join(folder, format))) writeStage(format, layers);
  }
  server = await serve();
  browser = await chromium.launch({executablePath: '/usr/bin/chromium', args: ['--no-sandbox']});
  const least = {};
  const dots = {relaxed: 0, plain: 0};
  for (let round = 0; round < Number(rounds); ++round) {
    await onPage(async (page) => {
      for (const kind of Object.keys(dots)) {
        const reached = await page.evaluate(
            async (kind) => await (await import('/dots.js')).measureDots(kind), kind);
        dots[kind] = Math.max(dots[kind], reached);
      }
    });
    for (const one of cases) {
      const result = await onPage((page) => page.evaluate(
          async (one) => await (await import('/page.js')).measure(one), one));
      console.error(round, one.name, JSON.stringify(result));
      const kept = least[one.name] ??= {};
      for (const [key, value] of Object.entries(result)) {
        kept[key] = Math.min(kept[key] ?? Infinity, Number((value * 4 / one.layers).toFixed(1)));
      }
    }
  }
  const load = os.loadavg()[0].toFixed(1);
  console.log(`Chromium ${browser.version()}, best of ${rounds} rounds, load ${load}`);
  console.table(least);
  if (pattern === '') printRatios(least, dots);
} finally {
  await browser?.close();
  server?.close();
  fs.rmSync(folder, {recursive: true});
}
