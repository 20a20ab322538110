// Headless Chromium with one page and nobody who watches it, to measure memory: where a debugger
// hears of the network, a page keeps what it is answered, in base64 and for good.
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';

const settleMs = 2000;
const endMsMax = 10_000;

function readProcess(pid) {
  const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
  const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  const type = /--type=([a-z-]+)/.exec(fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8'))?.[1];
  return {pid, parent, type};
}

// Of all processes that the one of `root` has started, with theirs.
function descendants(root) {
  const all = fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((name) => {
    try {
      return [readProcess(Number(name))];
    } catch {
      return [];  // It has ended.
    }
  });
  const found = new Set([root]);
  for (let size = 0; size < found.size;) {
    size = found.size;
    for (const {pid, parent} of all) if (found.has(parent)) found.add(pid);
  }
  return all.filter(({pid}) => found.has(pid));
}

function pss(pid) {
  try {
    const text = fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
    return Number(/^Pss:\s+(\d+) kB/m.exec(text)[1]) * 1024;
  } catch {
    return 0;  // It has ended.
  }
}

export class BareBrowser {
  #process;
  #profile;

  constructor(url, flags = []) {
    // On the disk: without one, the origin's files would be kept in memory.
    this.#profile = fs.mkdtempSync(path.join(os.tmpdir(), 'shoal-bare-'));
    this.#process = spawn('/usr/bin/chromium', [
      '--headless', '--no-sandbox', '--disable-gpu', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync', ...flags,
      `--user-data-dir=${this.#profile}`, url,
    ], {stdio: 'ignore'});
    process.once('exit', () => {
      this.#process.kill('SIGKILL');
      this.#removeProfile();
    });
  }

  // Bytes of proportional set size of its processes of each kind.
  memory() {
    const sums = {GPU: 0, renderer: 0};
    for (const {pid, type} of descendants(this.#process.pid)) {
      if (type === 'gpu-process') sums.GPU += pss(pid);
      if (type === 'renderer') sums.renderer += pss(pid);
    }
    return sums;
  }

  async close() {
    const ended = once(this.#process, 'exit');
    this.#process.kill();
    // It sometimes never ends.
    const patience = setTimeout(() => this.#process.kill('SIGKILL'), endMsMax);
    await ended;
    clearTimeout(patience);
    this.#removeProfile();
  }

  #removeProfile() {
    fs.rmSync(this.#profile, {recursive: true, force: true, maxRetries: 100, retryDelay: 100});
  }
}

// What a blank page takes.
export async function blankMemory(flags) {
  const browser = new BareBrowser('about:blank', flags);
  await sleep(settleMs);
  const sums = browser.memory();
  await browser.close();
  return sums;
}
