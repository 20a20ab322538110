// The engine in WebAssembly beside ONNX Runtime Web's CPU backend, in headless Chromium, on a stage
// of random weights: 4 layers, hidden 2048, ffn 8192, 32/8 heads of 64. f32 weights (976 MB) are
// measured on one layer and counted four times.
//
//   node bench/engine/browser.mjs BUILD_FOLDER WASM_BUILD_FOLDER [rounds]
import {execFileSync} from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import {createRequire} from 'node:module';
import os from 'node:os';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');
const require = createRequire(path.join(root, 'web/package.json'));
const {chromium} = require('playwright-core');
const {rolldown} = await import(require.resolve('rolldown'));
const [build, wasm, rounds = '2'] = process.argv.slice(2);
if (!wasm) {
  console.error('usage: node bench/engine/browser.mjs BUILD_FOLDER WASM_BUILD_FOLDER [rounds]');
  process.exit(2);
}
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'shoal-bench-'));

function writeStage(format, layers) {
  const target = path.join(folder, format);
  fs.mkdirSync(target);
  execFileSync(path.join(build, 'src/volunteer/engine_bench'),
      ['--format', format, '--layers', String(layers), '--write', target]);
}

async function serve() {
  const bundle = await rolldown({input: path.join(root, 'web/volunteer/executors/shoal.ts')});
  const {output} = await bundle.generate({format: 'esm'});
  const ortDist = path.dirname(require.resolve('onnxruntime-web/wasm'));
  const routes = [
    [/^\/$/, () => ['text/html', '<!doctype html><title>bench</title>']],
    [/^\/shoal\.js$/, () => ['text/javascript', output[0].code]],
    [/^\/page\.js$/, () => ['text/javascript',
      fs.readFileSync(path.join(import.meta.dirname, 'page.js'))]],
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
  {executor: 'shoal', variant: 'shoal_engine_relaxed', format: 'q4', layers: 4},
  {executor: 'shoal', variant: 'shoal_engine', format: 'q4', layers: 4},
  {executor: 'ort-wasm', threads: 1, format: 'q4', layers: 4},
  {executor: 'ort-wasm', threads: 1, format: 'int8', layers: 4},
  {executor: 'ort-wasm', threads: 1, format: 'f32', layers: 1},
];

let server;
let browser;
try {
  for (const {format, layers} of cases) {
    if (!fs.existsSync(path.join(folder, format))) writeStage(format, layers);
  }
  server = await serve();
  browser = await chromium.launch({executablePath: '/usr/bin/chromium', args: ['--no-sandbox']});
  const least = {};
  for (let round = 0; round < Number(rounds); ++round) {
    for (const one of cases) {
      const page = await browser.newPage();
      await page.goto(`http://127.0.0.1:${server.address().port}/`);
      const result = await page.evaluate(
          async (one) => await (await import('/page.js')).measure(one), one);
      await page.close();
      const kept = least[`${one.executor} ${one.variant ?? ''} ${one.format}`] ??= {};
      for (const [key, value] of Object.entries(result)) {
        kept[key] = Math.min(kept[key] ?? Infinity, Number((value * 4 / one.layers).toFixed(1)));
      }
    }
  }
  const load = os.loadavg()[0].toFixed(1);
  console.log(`Chromium ${browser.version()}, best of ${rounds} rounds, load ${load}`);
  console.table(least);
} finally {
  await browser?.close();
  server?.close();
  fs.rmSync(folder, {recursive: true});
}
