// What a swarm does under one client and under many.
import fs from 'node:fs';

import {ask, gaps, median} from '../../bench/swarm/swarm.mjs';

// Seconds of processor time that a process and its children have used; 0 when it is gone.
function cpuSeconds(pid) {
  try {
    const fields = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ');
    // utime and stime, in ticks of 1/100 s.
    return (Number(fields[11]) + Number(fields[12])) / 100;
  } catch {
    return 0;
  }
}

export const cpuOf = (pids) => pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);

// Every client asks something else, of 12 tokens.
const promptOf = (client) =>
    Array.from({length: 12}, (_, i) => 5 + ((client * 131 + i * 17) % 900));

// One stream: `rounds` answers of `count` tokens, the first of which only warms up. Milliseconds.
export async function oneStream(url, {count = 48, rounds = 3} = {}) {
  const answers = [];
  for (let i = 0; i < rounds + 1; ++i) answers.push(await ask(url, {prompt: promptOf(i), count}));
  const warm = answers.slice(1);
  return {
    firstMs: median(warm.map(({times}) => times[1] - times[0])),
    tokenMs: median(warm.flatMap(({times}) => gaps(times.slice(1)))),
  };
}

// Many streams at once: tokens per second of all together; of the processors of `pids` (that is
// of the swarm's processes) how many were busy, on average.
export async function manyStreams(url, {clients = 8, count = 48, pids = []} = {}) {
  const cpu = cpuOf(pids);
  const start = performance.now();
  await Promise.all(Array.from({length: clients}, (_, i) =>
      ask(url, {prompt: promptOf(i), count})));
  const seconds = (performance.now() - start) / 1000;
  return {tokensPerSecond: clients * count / seconds, busyCores: (cpuOf(pids) - cpu) / seconds};
}
