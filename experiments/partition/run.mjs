// Which partition for which network and devices? The embedded model over 1 to 4 native
// volunteers, each behind an emulated link, at several delays and rates: one stream's latency, the
// throughput of eight, and what the coordinator predicted.
//
//   node experiments/partition/run.mjs [--short]
import {setTimeout as sleep} from 'node:timers/promises';
import {parseArgs} from 'node:util';

import {Swarm, mean, packStoryteller} from '../../bench/swarm/swarm.mjs';
import {manyStreams, oneStream} from '../lib/load.mjs';
import {Report} from '../lib/report.mjs';

const {values: flags} = parseArgs({options: {short: {type: 'boolean', default: false}}});
const stageCounts = flags.short ? [1, 2] : [1, 2, 3, 4];
const delays = flags.short ? [0, 5] : [0, 5, 20, 50];
const rates = flags.short ? [] : ['1M', '5M', '20M'];
const clients = 8;
const count = flags.short ? 16 : 32;
const settleMs = 11_000;  // The coordinator has pinged and predicted by then.

async function measure(pack, {stages, delay, rate = '0', hop = 'f32'}) {
  const swarm = await Swarm.start(pack, '--stages', String(stages), '--hop', hop);
  try {
    for (let i = 0; i < stages; ++i) {
      const {url} = await swarm.link('--delay', `${delay}ms`, '--rate', rate);
      await swarm.join(url);
    }
    await swarm.untilReady(stages);
    await sleep(settleMs);
    const {predicted_token_ms: predicted} = await swarm.status();
    const one = await oneStream(swarm.url, {count, rounds: 2});
    const seen = swarm.events().length;
    const many = await manyStreams(swarm.url, {clients, count, pids: swarm.pids});
    const steps = swarm.events(seen).filter(({event}) => event === 'step');
    const row = {
      stages, delay, rate, hop, predicted, ...one, ...many,
      rowsPerStep: mean(steps.map(({rows}) => rows)),
    };
    console.log(JSON.stringify(row));
    return row;
  } finally {
    await swarm.stop();
  }
}

const pack = await packStoryteller('q4');
const byDelay = [];
for (const stages of stageCounts) {
  for (const delay of delays) byDelay.push(await measure(pack, {stages, delay}));
}
const byRate = [];
for (const hop of ['f32', 'f16']) {
  for (const rate of rates) byRate.push(await measure(pack, {stages: 3, delay: 5, rate, hop}));
}

const report = new Report(import.meta.dirname, 'Which partition for which network and devices');
const of = (stages, field) => byDelay.filter((row) => row.stages === stages)
    .map((row) => [row.delay, row[field]]);
const shown = (row) => ({
  stages: row.stages,
  'one way, ms': row.delay,
  'token, ms': row.tokenMs.toFixed(1),
  'predicted, ms': row.predicted.toFixed(1),
  error: `${(100 * (row.predicted / row.tokenMs - 1)).toFixed(0)} %`,
  'first token, ms': row.firstMs.toFixed(0),
  [`${clients} streams, tokens/s`]: row.tokensPerSecond.toFixed(1),
  'over one stream': `${(row.tokensPerSecond * row.tokenMs / 1000).toFixed(1)}x`,
  'rows a step': row.rowsPerStep.toFixed(1),
});
report.say(
    'The embedded model (22 M weights in q4) over 1 to 4 native volunteers of one thread, ' +
    'each behind a `shoal link` of its own, every hop through the coordinator: what a device ' +
    'in another house pays. One stream: median time between tokens of two answers. Eight ' +
    'streams: their tokens together.');
report.table(byDelay.map(shown));
report.plot('latency', {
  title: 'One stream', x: 'delay, one way, ms', y: 'ms a token',
  series: stageCounts.flatMap((stages) => [
    {name: `${stages} stages`, points: of(stages, 'tokenMs')},
  ]),
});
report.plot('throughput', {
  title: `${clients} streams together`, x: 'delay, one way, ms', y: 'tokens/s',
  series: stageCounts.map((stages) => ({
    name: `${stages} stages`, points: of(stages, 'tokensPerSecond'),
  })),
});
// Least squares of token = compute + k * delay, for each number of stages.
const slopes = stageCounts.map((stages) => {
  const points = of(stages, 'tokenMs');
  const [mx, my] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))];
  const slope = points.reduce((sum, [x, y]) => sum + (x - mx) * (y - my), 0) /
      points.reduce((sum, [x]) => sum + (x - mx) ** 2, 0);
  return {stages, 'ms a token for each ms of delay': slope.toFixed(2),
    'expected (two ways a stage)': 2 * stages, 'at no delay, ms': (my - slope * mx).toFixed(1)};
});
report.say('## What delay costs', 'A token visits every stage and comes back to the coordinator ' +
    'after each, so one stream pays two ways a stage; nothing but fewer stages helps it:');
report.table(slopes);
report.say('Many streams share the waiting: while one token travels, the stages work on others, ' +
    'and rows that wait together run together (last columns of the first table).');
if (byRate.length > 0) {
  report.say('## What a narrow line costs', 'Three stages, 5 ms one way, both directions of each ' +
      'line at the rate; a hidden state of this model is 1,536 bytes in f32 and 768 in f16:');
  report.table(byRate.map((row) => ({
    'Mbit/s': row.rate.replace('M', ''), hop: row.hop, 'token, ms': row.tokenMs.toFixed(1),
    'predicted, ms': row.predicted.toFixed(1), 'first token, ms': row.firstMs.toFixed(0),
    [`${clients} streams, tokens/s`]: row.tokensPerSecond.toFixed(1),
  })));
}
report.write();
