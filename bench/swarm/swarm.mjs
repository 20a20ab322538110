// A swarm on this machine for benchmarks and experiments: coordinator, emulated links, native
// volunteers and tabs, each in processes of their own, and clients that note when tokens come.
//
// Everything that was started is in a Swarm and ends with its `stop`.
import {spawn} from 'node:child_process';
import fs from 'node:fs';
import {createRequire} from 'node:module';
import os from 'node:os';
import path from 'node:path';
import {createInterface} from 'node:readline';
import {Readable} from 'node:stream';
import {setTimeout as sleep} from 'node:timers/promises';

export const root = path.resolve(import.meta.dirname, '../..');
export const binary = process.env.SHOAL_BINARY ?? path.join(root, 'build/release/shoal');
const pages = process.env.SHOAL_PAGES ?? path.join(root, 'web/dist');
const readyMs = 180_000;

// Runs the binary to its end; its standard output.
export async function shoal(...args) {
  const child = spawn(binary, args, {stdio: ['ignore', 'pipe', 'pipe']});
  let out = '';
  let error = '';
  child.stdout.setEncoding('utf8').on('data', (text) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (error += text));
  const code = await new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  if (code !== 0) throw new Error(`shoal ${args.join(' ')} ended with ${code}: ${error}`);
  return out;
}

// The pack of the embedded model; made once for each format of weights.
export async function packStoryteller(weights) {
  const folder = path.join(root, `build/bench/storyteller-${weights}.pack`);
  fs.mkdirSync(path.dirname(folder), {recursive: true});
  const command = ['pack', path.join(root, 'models/storyteller'), '-o', folder, '--weights',
    weights];
  await shoal(...command).catch(() => shoal(...command, '--force'));
  return folder;
}

// A process and the line of its standard output that says where it listens.
async function startListening(args, pattern) {
  const child = spawn(binary, args, {stdio: ['ignore', 'pipe', 'pipe']});
  const log = [];
  child.stderr.setEncoding('utf8').on('data', (text) => log.push(text));
  const found = {};
  await new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => reject(new Error(`${args[0]} ended with ${code}: ${log.join('')}`)));
    createInterface({input: child.stdout}).on('line', (line) => {
      const control = /^control on (\S+)$/.exec(line);
      if (control) found.control = control[1];
      const match = pattern.exec(line);
      if (match) resolve((found.at = match[1]));
    });
  });
  child.removeAllListeners('exit');
  return {child, log, ...found};
}

async function endOf(child, signal = 'SIGTERM') {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  const late = setTimeout(() => child.kill('SIGKILL'), 15_000);
  await ended;
  clearTimeout(late);
}

export class Swarm {
  #parts = [];
  #folder = fs.mkdtempSync(path.join(os.tmpdir(), 'shoal-swarm-'));
  url = '';
  pid = 0;
  // Of the coordinator, the volunteers and the tabs' renderers: whose processor time counts.
  pids = [];

  static async start(pack, ...args) {
    const swarm = new Swarm();
    await swarm.serve(pack, ...args);
    return swarm;
  }

  get trace() {
    return path.join(this.#folder, 'trace.jsonl');
  }
  // The coordinator's data folder.
  get data() {
    return path.join(this.#folder, 'data');
  }

  // Starts the coordinator; again, after it was killed, on the port that it had.
  async serve(pack, ...args) {
    const port = this.url === '' ? '0' : new URL(this.url).port;
    const {child, at} = await startListening(
        ['serve', pack, '--port', port, '--pages', pages, '--trace', this.trace, '--data',
          this.data, ...args], /^listening on (http\S+)$/);
    this.url = at;
    this.pid = child.pid;
    this.pids.push(child.pid);
    this.#parts.push(() => endOf(child));
  }

  // A line between somebody and the coordinator: `shoal link` with these options.
  async link(...options) {
    const {child, at, control} = await startListening(
        ['link', '--to', new URL(this.url).host, '--control', '127.0.0.1:0', ...options],
        /^listening on (\S+)$/);
    this.#parts.push(() => endOf(child));
    const steer = async (what) => {
      const response = await fetch(`${control}/${what}`, {method: 'POST'});
      if (!response.ok) throw new Error(await response.text());
      return await response.json();
    };
    return {url: `http://${at}`, steer, tell: async () => await (await fetch(control)).json()};
  }

  // A native volunteer; its pid can be signalled.
  async join(url = this.url, {memory = '512M', threads = 1, cache} = {}) {
    const folder = cache ?? fs.mkdtempSync(path.join(this.#folder, 'cache-'));
    const child = spawn(binary, ['join', url, '--memory', memory, '--threads', String(threads),
      '--cache', folder], {stdio: ['ignore', 'ignore', 'ignore']});
    this.pids.push(child.pid);
    this.#parts.push(() => endOf(child, 'SIGKILL'));
    return child;
  }

  // A tab in a browser of its own. Without an `executor` it measures what there is and chooses, as
  // it does for people.
  async tab(url = this.url, {executor, memory = '512M', threads = 1} = {}) {
    const {chromium} = createRequire(path.join(root, 'web/package.json'))('playwright-core');
    const browser = await chromium.launch({
      executablePath: '/usr/bin/chromium', args: ['--headless', '--no-sandbox', '--disable-gpu'],
    });
    this.#parts.push(() => browser.close());
    const page = await browser.newPage();
    const query = new URLSearchParams({auto: '1', memory, threads: String(threads)});
    if (executor !== undefined) query.set('executor', executor);
    await page.goto(`${url}/lend?${query}`);
    const {processInfo} = await (await browser.newBrowserCDPSession()).send(
        'SystemInfo.getProcessInfo');
    const renderers = processInfo.filter(({type}) => type === 'renderer').map(({id}) => id);
    this.pids.push(...renderers);
    return {browser, page, renderers};
  }

  async status() {
    return await (await fetch(`${this.url}/status.json`)).json();
  }

  async until(holds, what = 'a ready swarm') {
    let status;
    for (const start = Date.now(); Date.now() - start < readyMs; await sleep(200)) {
      status = await this.status();
      if (holds(status)) return status;
    }
    throw new Error(`${what} did not come: ${JSON.stringify(status)}`);
  }

  // Until `count` volunteers are there, none is loading, and requests are answered.
  async untilReady(count) {
    return await this.until((s) => s.ready && s.volunteers.length >= count &&
        s.volunteers.every(({state}) => state !== 'loading'), `${count} volunteers`);
  }

  // What was written to the trace since `from` (a count of events).
  events(from = 0) {
    if (!fs.existsSync(this.trace)) return [];
    return fs.readFileSync(this.trace, 'utf8').trim().split('\n').filter((line) => line !== '')
        .slice(from).map((line) => JSON.parse(line));
  }

  async stop() {
    // Tabs and volunteers before links before the coordinator.
    for (const part of this.#parts.splice(0).reverse()) await part().catch(() => {});
    fs.rmSync(this.#folder, {recursive: true, force: true});
  }
}

// Asks for exactly `count` tokens, streamed: the ids, when the request went and when each id came,
// in milliseconds. Never ends early: the end tokens of the embedded model are forbidden.
export async function ask(url, {prompt = [5, 6, 7, 8, 9, 10, 11, 12], count = 64, key, onToken,
  seed = 0, temperature = 0} = {}) {
  const times = [performance.now()];
  const ids = [];
  const response = await fetch(`${url}/v1/completions`, {
    method: 'POST',
    headers: {'content-type': 'application/json', ...(key ? {authorization: `Bearer ${key}`} : {})},
    body: JSON.stringify({
      model: await modelOf(url, key), prompt, max_tokens: count, temperature, seed, stream: true,
      return_token_ids: true, logit_bias: {0: -100, 4: -100},
    }),
  });
  if (!response.ok) throw new Error(await response.text());
  for await (const line of createInterface({input: Readable.fromWeb(response.body)})) {
    if (!line.startsWith('data: {')) continue;
    const chunk = JSON.parse(line.slice(6));
    if (chunk.error) throw new Error(chunk.error.message);
    for (const id of chunk.choices[0]?.token_ids ?? []) {
      ids.push(id);
      times.push(performance.now());
      onToken?.(ids.length);
    }
  }
  if (ids.length !== count) throw new Error(`${ids.length} of ${count} tokens came`);
  return {ids, times};
}

const models = new Map();
async function modelOf(url, key) {
  if (!models.has(url)) {
    const headers = key ? {authorization: `Bearer ${key}`} : {};
    const {data} = await (await fetch(`${url}/v1/models`, {headers})).json();
    models.set(url, data[0].id);
  }
  return models.get(url);
}

// --- Figures -----------------------------------------------------------------------------------

export function quantile(values, q) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
}
export const median = (values) => quantile(values, 0.5);
export const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
// Gaps between consecutive times.
export const gaps = (times) => times.slice(1).map((time, i) => time - times[i]);
// Of one answer: time to the first token, and tokens per second from the first on.
export function rates({times}) {
  return {
    firstMs: times[1] - times[0],
    tokensPerSecond: (times.length - 2) / (times.at(-1) - times[1]) * 1000,
    tokenMs: (times.at(-1) - times[1]) / (times.length - 2),
  };
}
// Jain's index of fairness: 1 when all are equal, 1/n when one has it all.
export function jain(values) {
  const sum = values.reduce((a, b) => a + b, 0);
  return sum * sum / (values.length * values.reduce((a, b) => a + b * b, 0));
}
export const machine = () => `${os.cpus().length} cores, ${os.cpus()[0].model.trim()}, load ` +
    `${os.loadavg()[0].toFixed(1)} at the end`;
