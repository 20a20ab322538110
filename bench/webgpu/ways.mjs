// Three ways of running one stage on a GPU and of keeping its KV caches. Each: `load`, then `reset`
// before a session, then `run` of rows at consecutive positions, which gives the last row's hidden
// state.
import {OrtWebgpuExecutor} from '../../web/volunteer/executors/ort_webgpu.ts';
import {withAttentionMask} from './onnx_file.mjs';

const externalData = (stage) =>
  [...stage.weights].map(([path, data]) => ({path, data}));

// The executor of a tab: caches of fixed capacity, written in place.
export class InPlace {
  name = 'in place';

  constructor(ort, device, stage, {chunk, capacity}) {
    Object.assign(this, {stage, capacity, chunk});
    this.executor = new OrtWebgpuExecutor({
      device,
      createSession: (files, onGpu) =>
        ort.InferenceSession.create(stage.graph, {
          executionProviders: [{name: 'webgpu', device}],
          externalData: externalData(stage),
          preferredOutputLocation: Object.fromEntries(onGpu.map((name) => [name, 'gpu-buffer'])),
          extra: {session: {disable_cpu_ep_fallback: '1'}},
        }),
      Tensor: ort.Tensor,
      now: () => performance.now(),
    });
  }

  async load() {
    await this.executor.load({...this.stage, maxRows: this.chunk}, undefined);
  }

  async reset() {
    await this.executor.release(1);
    await this.executor.open(1, this.capacity);
  }

  async run(position, rows, input) {
    const groups = [{kv: 1, position, rows, logitRows: []}];
    const result = await this.executor.run({groups, input});
    if (!result.groups[0].ok) throw new Error(result.groups[0].detail);
    return result.groups[0].output.subarray(-this.stage.hidden);
  }
}

// The same graph with a cache that every run makes anew, one position longer; it stays on the GPU.
export class Growing {
  name = 'growing';
  past = {};

  constructor(ort, device, stage) {
    Object.assign(this, {ort, device, stage, graph: stage.graph});
  }

  async load() {
    const {stage} = this;
    this.caches = stage.kv.flatMap(({block}) => [`${block}.key`, `${block}.value`]);
    this.session = await this.ort.InferenceSession.create(this.graph, {
      ...this.providers(),
      externalData: externalData(stage),
      preferredOutputLocation: Object.fromEntries(
        this.caches.map((name) => [`present.${name}`, 'gpu-buffer']),
      ),
    });
    const cached = this.session.inputMetadata.find(({name}) => name.startsWith('past.'));
    this.kvType = cached.type;
    await this.reset();
    await this.run(0, 4, new Float32Array(4 * stage.hidden));
  }

  providers() {
    const extra = {session: {disable_cpu_ep_fallback: '1'}};
    return {executionProviders: [{name: 'webgpu', device: this.device}], extra};
  }

  async reset() {
    const {heads, head_size: size} = this.stage.kv[0];
    this.drop();
    const empty = this.kvType === 'float16' ? new Float16Array(0) : new Float32Array(0);
    for (const name of this.caches) {
      this.past[`past.${name}`] = new this.ort.Tensor(this.kvType, empty, [1, heads, 0, size]);
    }
  }

  drop() {
    for (const tensor of Object.values(this.past)) tensor.dispose();
    this.past = {};
  }

  control(position, rows) {
    const {Tensor} = this.ort;
    const total = position + rows;
    return {
      seqlens_k: new Tensor('int32', Int32Array.of(total - 1), [1]),
      total_sequence_length: new Tensor('int32', Int32Array.of(total), []),
    };
  }

  async run(position, rows, input) {
    const {first, last, hidden} = this.stage;
    const states = new this.ort.Tensor('float32', input, [1, rows, hidden]);
    const feeds = {[`hidden.${first}`]: states, ...this.control(position, rows), ...this.past};
    const results = await this.session.run(feeds);
    const output = results[`hidden.${last}`].data.slice(-hidden);
    this.drop();
    for (const name of this.caches) this.past[`past.${name}`] = results[`present.${name}`];
    return output;
  }
}

// As @huggingface/transformers feeds the hub's models: the provider by its name alone, an int64
// mask over all positions, and the growing cache.
export class AsTransformers extends Growing {
  name = 'as transformers.js';

  constructor(ort, device, stage) {
    super(ort, device, stage);
    this.graph = withAttentionMask(stage.graph);
  }

  providers() {
    return {executionProviders: ['webgpu']};
  }

  control(position, rows) {
    const total = position + rows;
    const mask = new BigInt64Array(total).fill(1n);
    return {attention_mask: new this.ort.Tensor('int64', mask, [1, total])};
  }
}
