// Checkpoints of random weights and any configuration, and their logits: a forward pass in float64,
// written from the descriptions of LLaMA (arXiv:2302.13971), Qwen 3 (arXiv:2505.09388), Phi-3
// (arXiv:2404.14219), Gemma 2 (arXiv:2408.00118), Gemma 3 (arXiv:2503.19786), OLMo 2
// (arXiv:2501.00656), SmolLM3, GPT-OSS (arXiv:2508.10925) and DeepSeek-V3 (arXiv:2412.19437), with
// what transformers calls the tensors and fields. It shares no code with Shoal.

import { Experts } from "./experts.ts";
import { attend, cut, geluTanh, plus, RandomCheckpoint, silu } from "./random_checkpoint.ts";
import type { Config, StoredType, Vector } from "./random_checkpoint.ts";
import { latentTemperature, turn, type Turning } from "./rotation.ts";

// What sets a family apart from LLaMA.
interface Family {
  placement?: "after" | "around"; // Of the norms; else before.
  minusOne?: boolean; // Norms are stored as their difference from 1.
  headNorm?: "head" | "whole"; // Of queries and keys.
  gelu?: boolean;
  scaledEmbedding?: boolean;
  biases?: "qkv" | "all"; // Of attention, whatever config.json says.
  windows?: "all" | "qwen" | "still" | "alternating" | "pattern";
  fused?: boolean; // One tensor for query, key and value, one for gate and up.
  latent?: boolean;
  sinks?: boolean;
}

const families: Record<string, Family> = {
  llama: {},
  mistral: { windows: "all" },
  mixtral: { windows: "all" },
  phi3: { fused: true, windows: "all" },
  qwen2: { biases: "qkv", windows: "qwen" },
  qwen3: { headNorm: "head", windows: "qwen" },
  qwen3_moe: { headNorm: "head", windows: "qwen" },
  smollm3: { windows: "still" },
  olmo2: { placement: "after", headNorm: "whole" },
  gemma2: {
    ...{ placement: "around", minusOne: true, gelu: true, scaledEmbedding: true },
    windows: "alternating",
  },
  gemma3_text: {
    ...{ placement: "around", minusOne: true, gelu: true, scaledEmbedding: true },
    headNorm: "head",
    windows: "pattern",
  },
  gpt_oss: { biases: "all", sinks: true, windows: "alternating" },
  deepseek_v3: { latent: true },
  kimi_k2: { latent: true },
};

// The norms of queries' and keys' latents have an epsilon of their own.
const latentEpsilon = 1e-6;

export class ReferenceDecoder {
  readonly #from: RandomCheckpoint;
  readonly #experts: Experts;
  readonly #family: Family;
  readonly #hidden: number;
  readonly #layers: number;
  readonly #heads: number;

  constructor(config: Config, type: StoredType, seed: number) {
    const from = new RandomCheckpoint(config, type, seed);
    const family = families[config.model_type];
    if (!family) throw new Error(`no family ${config.model_type}`);
    this.#from = from;
    this.#experts = new Experts(from);
    this.#family = family;
    this.#hidden = from.number("hidden_size", 0);
    this.#layers = from.number("num_hidden_layers", 0);
    this.#heads = from.number("num_attention_heads", 0);
    from.add("model.embed_tokens.weight", [config.vocab_size, this.#hidden], 1);
    this.#addNorm("model.norm", this.#hidden);
    if (config["tie_word_embeddings"] !== true) {
      from.add("lm_head.weight", [config.vocab_size, this.#hidden], 0.6);
    }
    for (let layer = 0; layer < this.#layers; ++layer) this.#addLayer(layer);
  }

  write(folder: string, shards?: number): void {
    this.#from.write(folder, shards);
  }

  #addNorm(name: string, size: number): void {
    this.#from.add(`${name}.weight`, [size], 0.5, this.#family.minusOne ? 0 : 1);
  }

  get #headSize(): number {
    return this.#from.number("head_dim", this.#hidden / this.#heads);
  }

  get #kvHeads(): number {
    return this.#from.number("num_key_value_heads", this.#heads);
  }

  #addLayer(layer: number): void {
    const from = this.#from;
    const at = `model.layers.${layer}.`;
    const { placement } = this.#family;
    if (placement !== "after") this.#addNorm(`${at}input_layernorm`, this.#hidden);
    this.#addNorm(`${at}post_attention_layernorm`, this.#hidden);
    if (placement === "around") this.#addNorm(`${at}pre_feedforward_layernorm`, this.#hidden);
    if (placement) this.#addNorm(`${at}post_feedforward_layernorm`, this.#hidden);
    if (this.#family.latent) this.#addLatent(`${at}self_attn.`);
    else this.#addAttention(`${at}self_attn.`);
    if (this.#experts.has(layer)) {
      this.#experts.add(at);
      return;
    }
    const inner = from.number("intermediate_size", 0);
    if (this.#family.fused) {
      from.linear(`${at}mlp.gate_up_proj`, 2 * inner, this.#hidden);
      from.linear(`${at}mlp.down_proj`, this.#hidden, inner);
    } else {
      const names = ["gate_proj", "up_proj", "down_proj"];
      this.#experts.addMlp(`${at}mlp.`, inner, names, from.config["mlp_bias"] === true);
    }
  }

  #addAttention(at: string): void {
    const from = this.#from;
    const bias = from.config["attention_bias"] === true || this.#family.biases === "all";
    const size = this.#headSize;
    const query = this.#heads * size;
    const kv = this.#kvHeads * size;
    if (this.#family.fused) {
      from.linear(`${at}qkv_proj`, query + 2 * kv, this.#hidden);
    } else {
      const biased = bias || this.#family.biases !== undefined;
      from.linear(`${at}q_proj`, query, this.#hidden, biased);
      from.linear(`${at}k_proj`, kv, this.#hidden, biased);
      from.linear(`${at}v_proj`, kv, this.#hidden, biased);
    }
    const { headNorm } = this.#family;
    if (headNorm) {
      this.#addNorm(`${at}q_norm`, headNorm === "head" ? size : query);
      this.#addNorm(`${at}k_norm`, headNorm === "head" ? size : kv);
    }
    if (this.#family.sinks) from.add(`${at}sinks`, [this.#heads], 4);
    from.linear(`${at}o_proj`, this.#hidden, query, bias);
  }

  get #latentSizes(): { nope: number; rope: number; rank: number; value: number; query: number } {
    const number = (field: string): number => this.#from.number(field, 0);
    return {
      nope: number("qk_nope_head_dim"),
      rope: number("qk_rope_head_dim"),
      rank: number("kv_lora_rank"),
      value: number("v_head_dim"),
      query: number("q_lora_rank"),
    };
  }

  #addLatent(at: string): void {
    const from = this.#from;
    const bias = from.config["attention_bias"] === true;
    const { nope, rope, rank, value, query } = this.#latentSizes;
    if (query === 0) {
      from.linear(`${at}q_proj`, this.#heads * (nope + rope), this.#hidden);
    } else {
      from.linear(`${at}q_a_proj`, query, this.#hidden, bias);
      this.#addNorm(`${at}q_a_layernorm`, query);
      from.linear(`${at}q_b_proj`, this.#heads * (nope + rope), query);
    }
    from.linear(`${at}kv_a_proj_with_mqa`, rank + rope, this.#hidden, bias);
    this.#addNorm(`${at}kv_a_layernorm`, rank);
    from.linear(`${at}kv_b_proj`, this.#heads * (nope + value), rank);
    from.linear(`${at}o_proj`, this.#hidden, this.#heads * value, bias);
  }

  #norm(name: string, x: Vector, epsilon = this.#from.number("rms_norm_eps", 1e-6)): Vector {
    const weight = this.#from.values(`${name}.weight`);
    const added = this.#family.minusOne ? 1 : 0;
    const mean = x.reduce((sum, value) => sum + value * value, 0) / x.length;
    return x.map((value, i) => (value / Math.sqrt(mean + epsilon)) * (weight[i]! + added));
  }

  // How many positions a token of that layer sees.
  #window(layer: number): number {
    const { config } = this.#from;
    const window = this.#from.number("sliding_window", Infinity);
    const types = config["layer_types"] as string[] | undefined;
    if (types) return types[layer] === "sliding_attention" ? window : Infinity;
    const from = this.#from.number("max_window_layers", 28);
    const pattern = this.#from.number("sliding_window_pattern", 6);
    const windowed = {
      all: true,
      qwen: config["use_sliding_window"] === true && layer >= from,
      still: config["use_sliding_window"] === true && !this.#turns(layer),
      alternating: layer % 2 === 0,
      pattern: (layer + 1) % pattern !== 0,
      none: false,
    }[this.#family.windows ?? "none"];
    return windowed ? window : Infinity;
  }

  // Whether a layer's queries and keys turn.
  #turns(layer: number): boolean {
    if (this.#from.config.model_type !== "smollm3") return true;
    const given = this.#from.config["no_rope_layers"] as number[] | undefined;
    if (given) return given[layer] === 1;
    return (layer + 1) % this.#from.number("no_rope_layer_interval", 4) !== 0;
  }

  // Query, key and value heads of one token, before the rotation.
  #project(at: string, x: Vector): [Vector[], Vector[], Vector[]] {
    const size = this.#headSize;
    const heads = this.#heads;
    const kvHeads = this.#kvHeads;
    if (this.#family.fused) {
      const all = cut(this.#from.apply(`${at}qkv_proj`, x), size);
      return [all.slice(0, heads), all.slice(heads, heads + kvHeads), all.slice(heads + kvHeads)];
    }
    let q = this.#from.apply(`${at}q_proj`, x);
    let k = this.#from.apply(`${at}k_proj`, x);
    if (this.#family.headNorm === "whole") {
      q = this.#norm(`${at}q_norm`, q);
      k = this.#norm(`${at}k_norm`, k);
    }
    const split = (name: string, flat: Vector): Vector[] =>
      cut(flat, size).map((head) =>
        this.#family.headNorm === "head" ? this.#norm(`${at}${name}`, head) : head,
      );
    return [split("q_norm", q), split("k_norm", k), cut(this.#from.apply(`${at}v_proj`, x), size)];
  }

  // The same with latent attention, expanded: a key and a value for each head, turned.
  #projectLatent(at: string, x: Vector, position: number, how: Turning): Vector[][] {
    const { nope, rope, rank, value, query } = this.#latentSizes;
    let flat: Vector;
    if (query === 0) {
      flat = this.#from.apply(`${at}q_proj`, x);
    } else {
      const narrow = this.#from.apply(`${at}q_a_proj`, x);
      const normed = this.#norm(`${at}q_a_layernorm`, narrow, latentEpsilon);
      flat = this.#from.apply(`${at}q_b_proj`, normed);
    }
    const down = this.#from.apply(`${at}kv_a_proj_with_mqa`, x);
    const latent = this.#norm(`${at}kv_a_layernorm`, down.slice(0, rank), latentEpsilon);
    const shared = turn(down.slice(rank), position, how);
    const join = (a: Vector, b: Vector): Vector => Float64Array.from([...a, ...b]);
    const queries = cut(flat, nope + rope).map((head) =>
      join(head.slice(0, nope), turn(head.slice(nope), position, how)),
    );
    const both = cut(this.#from.apply(`${at}kv_b_proj`, latent), nope + value);
    const keys = both.map((head) => join(head.slice(0, nope), shared));
    return [queries, keys, both.map((head) => head.slice(nope))];
  }

  get #scale(): number {
    const { latent } = this.#family;
    const { nope, rope } = this.#latentSizes;
    const size = latent ? nope + rope : this.#headSize;
    const scale = 1 / Math.sqrt(this.#from.number("query_pre_attn_scalar", size));
    return latent ? scale * latentTemperature(this.#from.config) : scale;
  }

  #mlp(at: string, x: Vector): Vector {
    const act = this.#family.gelu ? geluTanh : silu;
    let gate: Vector;
    let up: Vector;
    if (this.#family.fused) {
      const both = this.#from.apply(`${at}gate_up_proj`, x);
      [gate, up] = cut(both, both.length / 2) as [Vector, Vector];
    } else {
      gate = this.#from.apply(`${at}gate_proj`, x);
      up = this.#from.apply(`${at}up_proj`, x);
    }
    return this.#from.apply(`${at}down_proj`, gate.map((value, i) => act(value) * up[i]!));
  }

  // One layer for the token at `position`; `keys` and `values` grow by its own.
  #layer(layer: number, x: Vector, position: number, length: number, caches: Caches): Vector {
    const from = this.#from;
    const at = `model.layers.${layer}.`;
    const { placement, latent } = this.#family;
    const normed = placement === "after" ? x : this.#norm(`${at}input_layernorm`, x);
    const window = this.#window(layer);
    const neighbours = latent === true && from.config["rope_interleave"] !== false;
    const windowed = window !== Infinity;
    const how: Turning = { config: from.config, windowed, length, neighbours };
    const attention = `${at}self_attn.`;
    let [q, k, v] = latent
      ? (this.#projectLatent(attention, normed, position, how) as [Vector[], Vector[], Vector[]])
      : this.#project(attention, normed);
    if (!latent && this.#turns(layer)) {
      q = q.map((head) => turn(head, position, how));
      k = k.map((head) => turn(head, position, how));
    }
    caches.keys.push(k);
    caches.values.push(v);
    const attended = q.flatMap((query, h) => {
      const kv = Math.floor((h * k.length) / this.#heads);
      const ofHead = (all: Vector[][]): Vector[] => all.map((row) => row[kv]!);
      const softcap = from.number("attn_logit_softcapping", 0);
      const sink = this.#family.sinks ? { sink: from.values(`${attention}sinks`)[h]! } : {};
      const scoring = { scale: this.#scale, window, softcap, ...sink };
      return [...attend(query, ofHead(caches.keys), ofHead(caches.values), scoring)];
    });
    let branch = from.apply(`${attention}o_proj`, Float64Array.from(attended));
    if (placement) branch = this.#norm(`${at}post_attention_layernorm`, branch);
    const between = plus(x, branch);
    const second = {
      before: "post_attention_layernorm",
      around: "pre_feedforward_layernorm",
      after: undefined,
    }[placement ?? "before"];
    const inner = second ? this.#norm(`${at}${second}`, between) : between;
    branch = this.#experts.has(layer)
      ? this.#experts.apply(at, inner)
      : this.#mlp(`${at}mlp.`, inner);
    if (placement) branch = this.#norm(`${at}post_feedforward_layernorm`, branch);
    return plus(between, branch);
  }

  // Logits [ids.length * vocab].
  logits(ids: number[]): Float64Array {
    const from = this.#from;
    const table = from.values("model.embed_tokens.weight");
    const caches = Array.from({ length: this.#layers }, (): Caches => ({ keys: [], values: [] }));
    const out: number[] = [];
    const scale = this.#family.scaledEmbedding ? Math.sqrt(this.#hidden) : 1;
    const head = from.has("lm_head.weight") ? "lm_head" : "model.embed_tokens";
    const cap = from.number("final_logit_softcapping", 0);
    ids.forEach((id, position) => {
      const row = table.slice(id * this.#hidden, (id + 1) * this.#hidden);
      let x: Vector = row.map((value) => value * scale);
      caches.forEach((cache, layer) => {
        x = this.#layer(layer, x, position, ids.length, cache);
      });
      const logits = from.apply(head, this.#norm("model.norm", x));
      out.push(...(cap === 0 ? logits : logits.map((value) => cap * Math.tanh(value / cap))));
    });
    return Float64Array.from(out);
  }
}

interface Caches {
  keys: Vector[][]; // By position and head.
  values: Vector[][];
}
