// The demonstration: a coordinator, three tabs, one story. See scripts/demo.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const [pack, ...flags] = process.argv.slice(2);
const once = flags.includes('--once');
const TABS = 3;
const children = [];
const profiles = [];

function stop(code) {
  for (const child of children) child.kill('SIGTERM');
  for (const profile of profiles) {
    try {
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    } catch {
      // A browser that is still closing keeps its folder; it lies in the temporary folder.
    }
  }
  process.exit(code);
}
process.on('SIGINT', () => stop(0));
process.on('SIGTERM', () => stop(0));

function fail(message) {
  console.error(`demo: ${message}`);
  stop(1);
}

/** Starts the coordinator and resolves with its address. */
function startCoordinator() {
  const args = ['serve', pack, '--port', once ? '0' : '8080', '--stages', String(TABS)];
  const child = spawn('build/release/shoal', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  child.on('exit', (code) => fail(`the coordinator ended with status ${code}`));
  return new Promise((resolve) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const match = /^listening on (http:\/\/\S+)$/.exec(line);
      if (match) resolve(match[1]);
    });
  });
}

function openTab(url) {
  const profile = mkdtempSync(join(tmpdir(), 'shoal-demo-'));
  profiles.push(profile);
  const args = [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
    `--user-data-dir=${profile}`, url,
  ];
  const child = spawn('chromium', args, { stdio: 'ignore' });
  children.push(child);
  child.on('error', (error) => fail(`cannot start chromium: ${error.message}`));
}

async function untilReady(address) {
  const end = Date.now() + 120_000;
  let last = '';
  while (Date.now() < end) {
    const status = await (await fetch(`${address}/status.json`)).json();
    if (status.ready) return status;
    if (status.detail !== last) console.log(`  ${(last = status.detail)}`);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  return fail('the tabs did not become ready within two minutes');
}

async function tellStory(address) {
  const response = await fetch(`${address}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      messages: [{ role: 'user', content: 'Tell me a story about a dragon.' }],
      stream: true,
      stream_options: { include_usage: true },
      max_tokens: 200,
      seed: 3,
      repetition_penalty: 1.15,
    }),
  });
  if (!response.ok) return fail(`the API answered ${response.status}: ${await response.text()}`);
  const started = Date.now();
  let usage;
  let buffered = '';
  const decoder = new TextDecoder();
  for await (const bytes of response.body) {
    buffered += decoder.decode(bytes, { stream: true });
    const events = buffered.split('\n\n');
    buffered = events.pop();
    for (const event of events) {
      const data = event.replace(/^data: /, '');
      if (data === '[DONE]') continue;
      const chunk = JSON.parse(data);
      if (chunk.error) return fail(chunk.error.message);
      usage = chunk.usage ?? usage;
      process.stdout.write(chunk.choices[0]?.delta?.content ?? '');
    }
  }
  const seconds = (Date.now() - started) / 1000;
  const tokens = usage?.completion_tokens ?? 0;
  console.log(`\n\n  ${tokens} tokens in ${seconds.toFixed(1)} s, ` +
    `${(tokens / seconds).toFixed(1)} tokens/s`);
}

const address = await startCoordinator();
console.log(`The coordinator is at ${address}; opening ${TABS} tabs.`);
for (let i = 0; i < TABS; ++i) {
  openTab(`${address}/lend?auto=1&executor=ort-wasm&memory=512M`);
}
await untilReady(address);
console.log('\nUser: Tell me a story about a dragon.\n');
await tellStory(address);

const status = await (await fetch(`${address}/status.json`)).json();
console.log('\nEvery token passed through all of these:');
for (const volunteer of status.volunteers) {
  const spans = volunteer.blocks.map(([a, b]) => `[${a}, ${b})`).join(' ') || 'nothing';
  console.log(`  tab ${volunteer.id}: blocks ${spans} of ${status.blocks}, ` +
    `${volunteer.tokens_done} tokens done`);
}
if (once) stop(0);
console.log(`\nServing on ${address} - open it in a browser; Ctrl-C stops.`);
