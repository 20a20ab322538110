// Checkpoints of random weights and any configuration, and their logits: a forward pass in float64,
// written from the descriptions of LLaMA (arXiv:2302.13971), Qwen 3 (arXiv:2505.09388), Phi-3
// (arXiv:2404.14219), DeepSeek-V3 (arXiv:2412.19437), YaRN (arXiv:2309.00071) and LongRoPE
// (arXiv:2402.13753), with what transformers calls the tensors and fields. It shares no code with
// Shoal.

import { mkdirSync, writeFileSync } from "node:fs";

export interface Config {
  model_type: string;
  hidden_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  vocab_size: number;
  max_position_embeddings: number;
  rms_norm_eps: number;
  intermediate_size: number;
  [field: string]: unknown;
}

type Vector = Float64Array;
interface Tensor {
  shape: number[];
  values: Vector;
}
export type StoredType = "F32" | "F16" | "BF16";

const bits = new DataView(new ArrayBuffer(4));

function roundTo(type: StoredType, value: number): { value: number; stored: number } {
  bits.setFloat32(0, value);
  const whole = bits.getUint32(0);
  if (type === "F32") return { value: bits.getFloat32(0), stored: whole };
  if (type === "BF16") {
    const stored = (whole + 0x7fff + ((whole >>> 16) & 1)) >>> 16;
    bits.setUint32(0, (stored << 16) >>> 0);
    return { value: bits.getFloat32(0), stored };
  }
  // Normal numbers only: smaller ones become 0.
  const exponent = ((whole >>> 23) & 255) - 112;
  if (exponent <= 0) return { value: 0, stored: 0 };
  const stored = ((whole >>> 16) & 0x8000) | (exponent << 10) | ((whole >>> 13) & 1023);
  bits.setUint32(0, (whole & 0xffffe000) >>> 0);
  return { value: bits.getFloat32(0), stored };
}

export class ReferenceDecoder {
  readonly #tensors = new Map<string, Tensor>();
  #state: number;

  readonly config: Config;
  readonly type: StoredType;

  constructor(config: Config, type: StoredType, seed: number) {
    this.config = config;
    this.type = type;
    this.#state = seed;
    const { hidden_size: hidden, vocab_size: vocab } = config;
    this.#add("model.embed_tokens.weight", [vocab, hidden], 1);
    this.#add("model.norm.weight", [hidden], 0.5, 1);
    if (!config["tie_word_embeddings"]) this.#add("lm_head.weight", [vocab, hidden], 0.6);
    for (let layer = 0; layer < config.num_hidden_layers; ++layer) this.#addLayer(layer);
  }

  #number(field: string, otherwise: number): number {
    return (this.config[field] as number | null | undefined) ?? otherwise;
  }

  #random(): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) | 0;
    return (this.#state >>> 0) / 2 ** 32 - 0.5;
  }

  #add(name: string, shape: number[], spread: number, center = 0): void {
    const count = shape.reduce((product, dim) => product * dim, 1);
    const values = Float64Array.from(
      { length: count },
      () => roundTo(this.type, center + spread * this.#random()).value,
    );
    this.#tensors.set(name, { shape, values });
  }

  #linear(name: string, outputs: number, inputs: number, bias = false): void {
    this.#add(`${name}.weight`, [outputs, inputs], 4 / Math.sqrt(inputs));
    if (bias) this.#add(`${name}.bias`, [outputs], 0.5);
  }

  get #headSize(): number {
    const { hidden_size: hidden, num_attention_heads: heads } = this.config;
    return this.#number("head_dim", hidden / heads);
  }

  #isMixture(layer: number): boolean {
    const { config } = this;
    if (config.model_type === "deepseek_v3") {
      return layer >= this.#number("first_k_dense_replace", 0);
    }
    if (config.model_type !== "qwen3_moe") return false;
    return !(config["mlp_only_layers"] as number[]).includes(layer);
  }

  #addMlp(at: string, inner: number, bias = false): void {
    const hidden = this.config.hidden_size;
    this.#linear(`${at}gate_proj`, inner, hidden, bias);
    this.#linear(`${at}up_proj`, inner, hidden, bias);
    this.#linear(`${at}down_proj`, hidden, inner, bias);
  }

  #addLayer(layer: number): void {
    const { config } = this;
    const { hidden_size: hidden, num_attention_heads: heads } = config;
    const at = `model.layers.${layer}.`;
    const bias = config["attention_bias"] === true;
    this.#add(`${at}input_layernorm.weight`, [hidden], 0.5, 1);
    this.#add(`${at}post_attention_layernorm.weight`, [hidden], 0.5, 1);
    if (config.model_type === "deepseek_v3") {
      this.#addLatent(`${at}self_attn.`, bias);
    } else {
      const size = this.#headSize;
      const kv = this.#number("num_key_value_heads", heads) * size;
      if (config.model_type === "phi3") {
        this.#linear(`${at}self_attn.qkv_proj`, heads * size + 2 * kv, hidden);
      } else {
        const biased = bias || config.model_type === "qwen2";
        this.#linear(`${at}self_attn.q_proj`, heads * size, hidden, biased);
        this.#linear(`${at}self_attn.k_proj`, kv, hidden, biased);
        this.#linear(`${at}self_attn.v_proj`, kv, hidden, biased);
      }
      if (config.model_type.startsWith("qwen3")) {
        this.#add(`${at}self_attn.q_norm.weight`, [size], 0.5, 1);
        this.#add(`${at}self_attn.k_norm.weight`, [size], 0.5, 1);
      }
      this.#linear(`${at}self_attn.o_proj`, hidden, heads * size, bias);
    }
    if (!this.#isMixture(layer)) {
      if (config.model_type === "phi3") {
        this.#linear(`${at}mlp.gate_up_proj`, 2 * config.intermediate_size, hidden);
        this.#linear(`${at}mlp.down_proj`, hidden, config.intermediate_size);
      } else {
        this.#addMlp(`${at}mlp.`, config.intermediate_size, config["mlp_bias"] === true);
      }
      return;
    }
    const experts = this.#number("n_routed_experts", this.#number("num_experts", 0));
    const inner = this.#number("moe_intermediate_size", 0);
    this.#linear(`${at}mlp.gate`, experts, hidden);
    for (let e = 0; e < experts; ++e) this.#addMlp(`${at}mlp.experts.${e}.`, inner);
    if (config.model_type !== "deepseek_v3") return;
    this.#add(`${at}mlp.gate.e_score_correction_bias`, [experts], 0.3);
    this.#addMlp(`${at}mlp.shared_experts.`, inner * this.#number("n_shared_experts", 1));
  }

  #addLatent(at: string, bias: boolean): void {
    const { hidden_size: hidden, num_attention_heads: heads } = this.config;
    const nope = this.#number("qk_nope_head_dim", 0);
    const rope = this.#number("qk_rope_head_dim", 0);
    const rank = this.#number("kv_lora_rank", 0);
    const value = this.#number("v_head_dim", 0);
    const queryRank = this.#number("q_lora_rank", 0);
    if (queryRank === 0) {
      this.#linear(`${at}q_proj`, heads * (nope + rope), hidden);
    } else {
      this.#linear(`${at}q_a_proj`, queryRank, hidden, bias);
      this.#add(`${at}q_a_layernorm.weight`, [queryRank], 0.5, 1);
      this.#linear(`${at}q_b_proj`, heads * (nope + rope), queryRank);
    }
    this.#linear(`${at}kv_a_proj_with_mqa`, rank + rope, hidden, bias);
    this.#add(`${at}kv_a_layernorm.weight`, [rank], 0.5, 1);
    this.#linear(`${at}kv_b_proj`, heads * (nope + value), rank);
    this.#linear(`${at}o_proj`, hidden, heads * value, bias);
  }

  // The folder's files; tensors in turns over `shards` files.
  write(folder: string, shards = 1): void {
    mkdirSync(folder, { recursive: true });
    writeFileSync(`${folder}/config.json`, JSON.stringify(this.config));
    const map: Record<string, string> = {};
    const width = this.type === "F32" ? 4 : 2;
    for (let shard = 0; shard < shards; ++shard) {
      const name = shards === 1 ? "model.safetensors" : `model-${shard}.safetensors`;
      const header: Record<string, unknown> = {};
      const parts: Buffer[] = [];
      let offset = 0;
      [...this.#tensors].forEach(([tensor, { shape, values }], index) => {
        if (index % shards !== shard) return;
        const data = Buffer.alloc(values.length * width);
        values.forEach((value, i) => {
          const { stored } = roundTo(this.type, value);
          if (width === 4) data.writeUInt32LE(stored, 4 * i);
          else data.writeUInt16LE(stored, 2 * i);
        });
        header[tensor] = { dtype: this.type, shape, data_offsets: [offset, offset + data.length] };
        offset += data.length;
        parts.push(data);
        map[tensor] = name;
      });
      const text = Buffer.from(JSON.stringify(header));
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(text.length));
      writeFileSync(`${folder}/${name}`, Buffer.concat([length, text, ...parts]));
    }
    if (shards > 1) {
      writeFileSync(`${folder}/model.safetensors.index.json`, JSON.stringify({ weight_map: map }));
    }
  }

  #values(name: string): Vector {
    const tensor = this.#tensors.get(name);
    if (!tensor) throw new Error(`no tensor ${name}`);
    return tensor.values;
  }

  #apply(name: string, x: Vector): Vector {
    const matrix = this.#values(`${name}.weight`);
    const bias = this.#tensors.get(`${name}.bias`)?.values;
    return Float64Array.from({ length: matrix.length / x.length }, (_, o) => {
      let sum = bias?.[o] ?? 0;
      for (let i = 0; i < x.length; ++i) sum += matrix[o * x.length + i]! * x[i]!;
      return sum;
    });
  }

  #norm(name: string, x: Vector, epsilon = this.config.rms_norm_eps): Vector {
    const weight = this.#values(`${name}.weight`);
    const mean = x.reduce((sum, value) => sum + value * value, 0) / x.length;
    return x.map((value, i) => (value / Math.sqrt(mean + epsilon)) * weight[i]!);
  }

  // Frequencies and the factor on cosines and sines, for heads of that size.
  #rotation(size: number): { frequencies: number[]; magnitude: number } {
    const { config } = this;
    const given = config["rope_parameters"] ?? config["rope_scaling"] ?? {};
    const scaling = given as Record<string, unknown>;
    const read = (name: string, otherwise: number): number =>
      ((scaling[name] ?? config[name]) as number | undefined) ?? otherwise;
    const theta = read("rope_theta", 10000);
    const dims = Math.floor(size * read("partial_rotary_factor", 1));
    const kind = (scaling["rope_type"] ?? scaling["type"] ?? "default") as string;
    const factor = read("factor", 1);
    const original = read("original_max_position_embeddings", config.max_position_embeddings);
    let frequencies = Array.from({ length: dims / 2 }, (_, i) => theta ** ((-2 * i) / dims));
    if (kind === "linear") frequencies = frequencies.map((f) => f / factor);
    if (kind === "longrope") {
      const short = scaling["short_factor"] as number[];
      const grown = config.max_position_embeddings / original;
      const magnitude = Math.sqrt(1 + Math.log(grown) / Math.log(original));
      return { frequencies: frequencies.map((f, i) => f / short[i]!), magnitude };
    }
    if (kind !== "yarn") return { frequencies, magnitude: 1 };
    const dimension = (rotations: number): number =>
      (dims * Math.log(original / (rotations * 2 * Math.PI))) / (2 * Math.log(theta));
    const low = Math.max(Math.floor(dimension(read("beta_fast", 32))), 0);
    const high = Math.min(Math.ceil(dimension(read("beta_slow", 1))), dims - 1);
    frequencies = frequencies.map((f, i) => {
      const ramp = Math.min(1, Math.max(0, (i - low) / (high - low || 0.001)));
      return (f / factor) * ramp + f * (1 - ramp);
    });
    const temperature = (scale: number): number => 0.1 * scale * Math.log(factor) + 1;
    const all = read("mscale_all_dim", 0);
    const one = read("mscale", 0);
    const usual = one > 0 && all > 0 ? temperature(one) / temperature(all) : temperature(1);
    return { frequencies, magnitude: read("attention_factor", usual) };
  }

  #turn(head: Vector, position: number, neighbours: boolean): Vector {
    const { frequencies, magnitude } = this.#rotation(head.length);
    const turned = head.slice();
    frequencies.forEach((frequency, i) => {
      const [a, b] = neighbours ? [2 * i, 2 * i + 1] : [i, i + frequencies.length];
      const cos = Math.cos(position * frequency) * magnitude;
      const sin = Math.sin(position * frequency) * magnitude;
      turned[a] = head[a]! * cos - head[b]! * sin;
      turned[b] = head[b]! * cos + head[a]! * sin;
    });
    return turned;
  }

  // How many positions a token of that layer sees.
  #window(layer: number): number {
    const { config } = this;
    const types = config["layer_types"] as string[] | undefined;
    const window = this.#number("sliding_window", Infinity);
    if (types) return types[layer] === "sliding_attention" ? window : Infinity;
    if (config.model_type.startsWith("qwen")) {
      const used = config["use_sliding_window"] === true;
      return used && layer >= this.#number("max_window_layers", 28) ? window : Infinity;
    }
    return config.model_type === "mistral" ? window : Infinity;
  }

  #attend(query: Vector, keys: Vector[], values: Vector[], scale: number, window: number): Vector {
    const first = Math.max(0, keys.length - window);
    const scores = keys.slice(first).map((key) => {
      let sum = 0;
      for (let i = 0; i < key.length; ++i) sum += key[i]! * query[i]!;
      return sum * scale;
    });
    const most = Math.max(...scores);
    const weights = scores.map((score) => Math.exp(score - most));
    const total = weights.reduce((a, b) => a + b, 0);
    const out = new Float64Array(values[0]!.length);
    weights.forEach((weight, p) => {
      for (let i = 0; i < out.length; ++i) out[i]! += (weight / total) * values[first + p]![i]!;
    });
    return out;
  }

  // Query, key and value heads of one token, before the rotation.
  #project(at: string, x: Vector): [Vector[], Vector[], Vector[]] {
    const { num_attention_heads: heads, model_type: type } = this.config;
    const size = this.#headSize;
    const kvHeads = this.#number("num_key_value_heads", heads);
    const cut = (flat: Vector): Vector[] =>
      Array.from({ length: flat.length / size }, (_, h) => flat.slice(h * size, (h + 1) * size));
    if (type === "phi3") {
      const all = cut(this.#apply(`${at}qkv_proj`, x));
      return [all.slice(0, heads), all.slice(heads, heads + kvHeads), all.slice(heads + kvHeads)];
    }
    let q = cut(this.#apply(`${at}q_proj`, x));
    let k = cut(this.#apply(`${at}k_proj`, x));
    if (type.startsWith("qwen3")) {
      q = q.map((head) => this.#norm(`${at}q_norm`, head));
      k = k.map((head) => this.#norm(`${at}k_norm`, head));
    }
    return [q, k, cut(this.#apply(`${at}v_proj`, x))];
  }

  // The same with latent attention, expanded: a key and a value for each head.
  #projectLatent(at: string, x: Vector, position: number): [Vector[], Vector[], Vector[]] {
    const { num_attention_heads: heads } = this.config;
    const nope = this.#number("qk_nope_head_dim", 0);
    const rope = this.#number("qk_rope_head_dim", 0);
    const rank = this.#number("kv_lora_rank", 0);
    const value = this.#number("v_head_dim", 0);
    const neighbours = this.config["rope_interleave"] !== false;
    let flat: Vector;
    if (this.#tensors.has(`${at}q_proj.weight`)) {
      flat = this.#apply(`${at}q_proj`, x);
    } else {
      const narrow = this.#norm(`${at}q_a_layernorm`, this.#apply(`${at}q_a_proj`, x), 1e-6);
      flat = this.#apply(`${at}q_b_proj`, narrow);
    }
    const down = this.#apply(`${at}kv_a_proj_with_mqa`, x);
    const latent = this.#norm(`${at}kv_a_layernorm`, down.slice(0, rank), 1e-6);
    const shared = this.#turn(down.slice(rank), position, neighbours);
    const up = this.#apply(`${at}kv_b_proj`, latent);
    const join = (a: Vector, b: Vector): Vector => Float64Array.from([...a, ...b]);
    const queries: Vector[] = [];
    const keys: Vector[] = [];
    const values: Vector[] = [];
    for (let h = 0; h < heads; ++h) {
      const query = flat.slice(h * (nope + rope), (h + 1) * (nope + rope));
      queries.push(join(query.slice(0, nope), this.#turn(query.slice(nope), position, neighbours)));
      const both = up.slice(h * (nope + value), (h + 1) * (nope + value));
      keys.push(join(both.slice(0, nope), shared));
      values.push(both.slice(nope));
    }
    return [queries, keys, values];
  }

  get #latentScale(): number {
    const size = this.#number("qk_nope_head_dim", 0) + this.#number("qk_rope_head_dim", 0);
    const scaling = (this.config["rope_parameters"] ?? this.config["rope_scaling"]) as
      | Record<string, number>
      | undefined;
    const all = scaling?.["mscale_all_dim"] ?? 0;
    const temperature = all === 0 ? 1 : 0.1 * all * Math.log(scaling!["factor"]!) + 1;
    return temperature ** 2 / Math.sqrt(size);
  }

  #mlp(at: string, x: Vector): Vector {
    const silu = (value: number): number => value / (1 + Math.exp(-value));
    if (this.#tensors.has(`${at}gate_up_proj.weight`)) {
      const both = this.#apply(`${at}gate_up_proj`, x);
      const half = both.length / 2;
      const inner = both.slice(0, half).map((gate, i) => silu(gate) * both[half + i]!);
      return this.#apply(`${at}down_proj`, inner);
    }
    const up = this.#apply(`${at}up_proj`, x);
    const inner = this.#apply(`${at}gate_proj`, x).map((gate, i) => silu(gate) * up[i]!);
    return this.#apply(`${at}down_proj`, inner);
  }

  #mixture(at: string, x: Vector): Vector {
    const { config } = this;
    const logits = [...this.#apply(`${at}gate`, x)];
    const chosen = this.#number("num_experts_per_tok", 1);
    const best = (scores: number[], count: number): number[] =>
      scores.map((_, i) => i).sort((a, b) => scores[b]! - scores[a]!).slice(0, count);
    let scores: number[];
    let experts: number[];
    if (config.model_type === "deepseek_v3") {
      scores = logits.map((logit) => 1 / (1 + Math.exp(-logit)));
      const correction = this.#values(`${at}gate.e_score_correction_bias`);
      const corrected = scores.map((score, i) => score + correction[i]!);
      const groups = this.#number("n_group", 1);
      const width = scores.length / groups;
      const strength = Array.from({ length: groups }, (_, g) => {
        const members = corrected.slice(g * width, (g + 1) * width).sort((a, b) => b - a);
        return members[0]! + (members[1] ?? 0);
      });
      const open = best(strength, this.#number("topk_group", 1));
      experts = best(
        corrected.map((score, i) => (open.includes(Math.floor(i / width)) ? score : -1e9)),
        chosen,
      );
    } else {
      const most = Math.max(...logits);
      const total = logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0);
      scores = logits.map((logit) => Math.exp(logit - most) / total);
      experts = best(scores, chosen);
    }
    const sum = experts.reduce((total, e) => total + scores[e]!, 0);
    const scale = this.#number("routed_scaling_factor", 1) / (config["norm_topk_prob"] ? sum : 1);
    const out = new Float64Array(x.length);
    for (const e of experts) {
      const result = this.#mlp(`${at}experts.${e}.`, x);
      result.forEach((value, i) => (out[i]! += value * scores[e]! * scale));
    }
    if (config.model_type === "deepseek_v3") {
      this.#mlp(`${at}shared_experts.`, x).forEach((value, i) => (out[i]! += value));
    }
    return out;
  }

  // Logits [ids.length * vocab].
  logits(ids: number[]): Float64Array {
    const { config } = this;
    const { hidden_size: hidden, num_attention_heads: heads } = config;
    const table = this.#values("model.embed_tokens.weight");
    const cache = Array.from({ length: config.num_hidden_layers }, () => ({
      keys: [] as Vector[][],
      values: [] as Vector[][],
    }));
    const out: number[] = [];
    ids.forEach((id, position) => {
      let x = table.slice(id * hidden, (id + 1) * hidden);
      cache.forEach(({ keys, values }, layer) => {
        const at = `model.layers.${layer}.`;
        const normed = this.#norm(`${at}input_layernorm`, x);
        const latent = config.model_type === "deepseek_v3";
        let [q, k, v] = latent
          ? this.#projectLatent(`${at}self_attn.`, normed, position)
          : this.#project(`${at}self_attn.`, normed);
        if (!latent) {
          q = q.map((head) => this.#turn(head, position, false));
          k = k.map((head) => this.#turn(head, position, false));
        }
        keys.push(k);
        values.push(v);
        const scale = latent ? this.#latentScale : 1 / Math.sqrt(this.#headSize);
        const attended = q.flatMap((query, h) => {
          const from = Math.floor((h * k.length) / heads);
          const ofHead = (all: Vector[][]): Vector[] => all.map((row) => row[from]!);
          const window = this.#window(layer);
          return [...this.#attend(query, ofHead(keys), ofHead(values), scale, window)];
        });
        const branch = this.#apply(`${at}self_attn.o_proj`, Float64Array.from(attended));
        x = x.map((value, i) => value + branch[i]!);
        const second = this.#norm(`${at}post_attention_layernorm`, x);
        const added = this.#isMixture(layer)
          ? this.#mixture(`${at}mlp.`, second)
          : this.#mlp(`${at}mlp.`, second);
        x = x.map((value, i) => value + added[i]!);
      });
      const head = this.#tensors.has("lm_head.weight") ? "lm_head" : "model.embed_tokens";
      out.push(...this.#apply(head, this.#norm("model.norm", x)));
    });
    return Float64Array.from(out);
  }
}
