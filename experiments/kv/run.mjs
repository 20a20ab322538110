// How best to keep a distributed KV cache? Bytes of it per token, what a loss costs when it is
// replayed, and what a prefix that is cached already saves.
//
//   node experiments/kv/run.mjs [--short]
import fs from 'node:fs';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {parseArgs} from 'node:util';

import {Swarm, ask, gaps, median, packStoryteller, root} from '../../bench/swarm/swarm.mjs';
import {Report} from '../lib/report.mjs';

const {values: flags} = parseArgs({options: {short: {type: 'boolean', default: false}}});
const lengths = flags.short ? [64] : [64, 256, 512, 1024];
const delays = flags.short ? [0] : [0, 20];
const rounds = flags.short ? 1 : 3;
const stages = 3;

const promptOf = (length, seed) =>
    Array.from({length}, (_, i) => 5 + ((i * i * 31 + i * 7 + seed * 977) % 7000));

// Kills the volunteer of the middle stage after 16 tokens, with a spare there. Milliseconds.
async function lossAt(pack, length, delay) {
  const swarm = await Swarm.start(pack, '--stages', String(stages));
  try {
    const cache = fs.mkdtempSync(path.join(root, 'build/bench/cache-'));
    const children = [];
    for (let i = 0; i < stages + 1; ++i) {
      const {url} = await swarm.link('--delay', `${delay}ms`);
      const before = new Set((await swarm.status()).volunteers.map(({id}) => id));
      const child = await swarm.join(url, {cache: path.join(cache, String(i))});
      const {volunteers} = await swarm.until((s) => s.volunteers.length === before.size + 1);
      children.push([volunteers.find(({id}) => !before.has(id)).id, child]);
    }
    await swarm.untilReady(stages + 1);
    await sleep(3000);
    const prompt = promptOf(length, 1);
    await ask(swarm.url, {prompt: promptOf(length, 2), count: 24});
    const calm = await ask(swarm.url, {prompt, count: 48});
    const seen = swarm.events().length;
    const routes = () => swarm.events(seen).filter(({event}) => event === 'routed');
    let victim;
    const answer = await ask(swarm.url, {prompt, count: 48, onToken: (n) => {
      if (n !== 16) return;
      victim = routes().at(-1).stages[1].node;
      children.find(([id]) => id === victim)[1].kill('SIGKILL');
    }});
    await sleep(300);
    const events = swarm.events(seen);
    const later = routes().find(({stages}) => !stages.some(({node}) => node === victim));
    const before = routes()[0].stages.map(({node}) => node);
    // Steps of the later route at positions before the last token of the earlier one.
    const reached = Math.max(0, ...events.filter((one) => one.event === 'token' &&
        one.epoch < later?.epoch).map(({position}) => position));
    const replayed = events.filter((one) => one.event === 'step' && one.epoch === later?.epoch &&
        one.position < reached && later.stages.some(({node}) => node === one.node));
    const row = {
      length, delay, tokenMs: median(gaps(calm.times.slice(1))), firstMs: calm.times[1] -
          calm.times[0],
      stallMs: Math.max(...gaps(answer.times.slice(1))),
      same: answer.ids.every((id, i) => id === calm.ids[i]),
      rows: replayed.reduce((sum, step) => sum + step.rows, 0),
      kept: later?.stages.find(({node}) => !before.includes(node))?.kept ?? 0,
      spans: new Set(replayed.map(({first, last}) => `${first}-${last}`)).size,
      replayBytes: replayed.reduce((sum, step) => sum + step.bytes_in, 0),
      loaded: events.filter(({event}) => event === 'loaded')
          .reduce((sum, {bytes_fetched: bytes}) => sum + bytes, 0),
    };
    fs.rmSync(cache, {recursive: true, force: true});
    console.log(JSON.stringify(row));
    return row;
  } finally {
    await swarm.stop();
  }
}

// Times to the first token of two sessions with one prefix, in ms: medians.
async function prefixAt(pack, length, delay) {
  const swarm = await Swarm.start(pack, '--stages', String(stages));
  try {
    for (let i = 0; i < stages; ++i) {
      await swarm.join((await swarm.link('--delay', `${delay}ms`)).url);
    }
    await swarm.untilReady(stages);
    await ask(swarm.url, {prompt: promptOf(length, 99), count: 8});
    const times = [[], []];
    for (let round = 0; round < rounds; ++round) {
      for (const session of [0, 1]) {
        const prompt = [...promptOf(length, 10 + round), 200 + session, 300, 400 + session];
        const answer = await ask(swarm.url, {prompt, count: 4});
        times[session].push(answer.times[1] - answer.times[0]);
      }
    }
    const row = {length, delay, first: median(times[0]), second: median(times[1])};
    console.log(JSON.stringify(row));
    return row;
  } finally {
    await swarm.stop();
  }
}

const bytesPerToken = (config, bytes) => 2 * config.num_hidden_layers *
    (config.num_key_value_heads ?? config.num_attention_heads) *
    (config.head_dim ?? config.hidden_size / config.num_attention_heads) * bytes;
const shapes = [
  ['storyteller (this report)', JSON.parse(fs.readFileSync(
      path.join(root, 'models/storyteller/config.json'), 'utf8'))],
  ['8B of the Llama family', {num_hidden_layers: 32, num_key_value_heads: 8, head_dim: 128,
    hidden_size: 4096}],
  ['70B of the Llama family', {num_hidden_layers: 80, num_key_value_heads: 8, head_dim: 128,
    hidden_size: 8192}],
];

const pack = await packStoryteller('q4');
const losses = [];
const prefixes = [];
for (const delay of delays) {
  for (const length of lengths) {
    losses.push(await lossAt(pack, length, delay));
    prefixes.push(await prefixAt(pack, length, delay));
  }
}

const report = new Report(import.meta.dirname, 'How to keep a distributed KV cache');
report.say('## How much it is', 'Bytes a token, over the whole model; beside it the hidden ' +
    'states of one hop, which the coordinator keeps so that a lost cache can be built again:');
report.table(shapes.map(([name, config]) => ({
  model: name, 'KV in f32': bytesPerToken(config, 4), 'KV in f16': bytesPerToken(config, 2),
  'one layer of it, f16': bytesPerToken({...config, num_hidden_layers: 1}, 2),
  'kept for a hop, f32': config.hidden_size * 4, 'f16': config.hidden_size * 2,
})));
report.say('What is kept for a hop does not grow with the layers behind it; the cache does. ' +
    'Moving the cache of a stage costs less than replaying its inputs only where a stage has ' +
    'few layers or much arithmetic.');
report.say('## What a loss costs', `${stages} stages and a spare, native volunteers, each ` +
    'behind a `shoal link`; the middle one is killed (its socket closes) after 16 tokens of an ' +
    'answer. The stall is the longest pause between two tokens; it has the loading of blocks in ' +
    'it where ' +
    'the one that takes over did not hold them. "Had" is how many positions it had already.');
report.table(losses.map((row) => ({
  'prompt, tokens': row.length, 'one way, ms': row.delay, 'token, ms': row.tokenMs.toFixed(1),
  'stall, ms': row.stallMs.toFixed(0), 'in steps': (row.stallMs / row.tokenMs).toFixed(0),
  'had': row.kept, 'stages that ran again': row.spans, 'rows run again': row.rows,
  'bytes sent again': row.replayBytes, 'bytes of weights fetched': row.loaded,
  'whole prompt anew, ms': row.firstMs.toFixed(0), 'same answer': row.same ? 'yes' : 'NO',
})));
report.plot('stall', {
  title: 'Stall after a loss', x: 'prompt, tokens', y: 'ms',
  series: delays.flatMap((delay) => {
    const of = (field) => losses.filter((row) => row.delay === delay)
        .map((row) => [row.length, row[field]]);
    return [{name: `stall, ${delay} ms`, points: of('stallMs')},
      {name: `first token, ${delay} ms`, points: of('firstMs'), dashed: true}];
  }),
});
report.say('## What a known prefix saves', 'Time to the first token of a session, and of ' +
    `the next one with the same prefix and another question (medians of ${rounds} prefixes):`);
report.table(prefixes.map((row) => ({
  'prefix, tokens': row.length, 'one way, ms': row.delay,
  'first session, ms': row.first.toFixed(0), 'second, ms': row.second.toFixed(0),
  'ratio': (row.second / row.first).toFixed(2),
})));
report.write();
