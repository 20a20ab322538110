// Mixtures of experts in float64: who is chosen, what they weigh and what they compute, as Mixtral
// (arXiv:2401.04088), Qwen 3 (arXiv:2505.09388), DeepSeek-V3 (arXiv:2412.19437) and GPT-OSS
// (arXiv:2508.10925) describe it.

import { silu, type RandomCheckpoint, type Vector } from "./random_checkpoint.ts";

type Style = "mixtral" | "qwen" | "deepseek" | "gpt_oss";

function styleOf(type: string): Style | undefined {
  if (type === "mixtral" || type === "gpt_oss") return type;
  if (type === "qwen3_moe") return "qwen";
  return type === "deepseek_v3" || type === "kimi_k2" ? "deepseek" : undefined;
}

export class Experts {
  readonly #from: RandomCheckpoint;
  readonly #style: Style | undefined;

  constructor(from: RandomCheckpoint) {
    this.#from = from;
    this.#style = styleOf(from.config.model_type);
  }

  // Whether that layer is a mixture.
  has(layer: number): boolean {
    if (this.#style === undefined) return false;
    if (this.#style === "deepseek") {
      const frequency = this.#from.number("moe_layer_freq", 1);
      return layer >= this.#from.number("first_k_dense_replace", 0) && layer % frequency === 0;
    }
    if (this.#style !== "qwen") return true;
    const dense = (this.#from.config["mlp_only_layers"] ?? []) as number[];
    const step = this.#from.number("decoder_sparse_step", 1);
    return !dense.includes(layer) && (layer + 1) % step === 0;
  }

  get #count(): number {
    const from = this.#from;
    const either = from.number("num_experts", from.number("num_local_experts", 0));
    return from.number("n_routed_experts", either);
  }

  get #inner(): number {
    const from = this.#from;
    return from.number("moe_intermediate_size", from.number("intermediate_size", 0));
  }

  // A gated MLP of a matrix each for gate, up and down.
  addMlp(at: string, inner: number, names: string[], bias = false): void {
    const hidden = this.#from.number("hidden_size", 0);
    this.#from.linear(`${at}${names[0]}`, inner, hidden, bias);
    this.#from.linear(`${at}${names[1]}`, inner, hidden, bias);
    this.#from.linear(`${at}${names[2]}`, hidden, inner, bias);
  }

  // `at`: "model.layers.3."
  add(at: string): void {
    const from = this.#from;
    const count = this.#count;
    const inner = this.#inner;
    const hidden = from.number("hidden_size", 0);
    if (this.#style === "gpt_oss") {
      from.linear(`${at}mlp.router`, count, hidden, true);
      const stack = `${at}mlp.experts.`;
      from.add(`${stack}gate_up_proj`, [count, hidden, 2 * inner], 4 / Math.sqrt(hidden));
      from.add(`${stack}gate_up_proj_bias`, [count, 2 * inner], 0.5);
      from.add(`${stack}down_proj`, [count, inner, hidden], 4 / Math.sqrt(inner));
      from.add(`${stack}down_proj_bias`, [count, hidden], 0.5);
      return;
    }
    const mlp = `${at}${this.#style === "mixtral" ? "block_sparse_moe" : "mlp"}.`;
    from.linear(`${mlp}gate`, count, hidden);
    for (let e = 0; e < count; ++e) this.addMlp(`${mlp}experts.${e}.`, inner, this.#names);
    if (this.#style !== "deepseek") return;
    from.add(`${mlp}gate.e_score_correction_bias`, [count], 0.3);
    this.addMlp(`${mlp}shared_experts.`, inner * this.#shared, this.#names);
  }

  get #shared(): number {
    return this.#from.number("n_shared_experts", 1);
  }

  get #names(): string[] {
    return this.#style === "mixtral" ? ["w1", "w3", "w2"] : ["gate_proj", "up_proj", "down_proj"];
  }

  #mlp(at: string, x: Vector): Vector {
    const [gate, up, down] = this.#names;
    const wide = this.#from.apply(`${at}${up}`, x);
    const inner = this.#from.apply(`${at}${gate}`, x).map((value, i) => silu(value) * wide[i]!);
    return this.#from.apply(`${at}${down}`, inner);
  }

  // Expert `e` of GPT-OSS: gate and up in turns, both bounded, in [inputs, outputs].
  #stacked(at: string, e: number, x: Vector): Vector {
    const product = (name: string, row: Vector, outputs: number): Vector => {
      const matrix = this.#from.values(`${at}${name}`);
      const bias = this.#from.values(`${at}${name}_bias`);
      return Float64Array.from({ length: outputs }, (_, o) => {
        let sum = bias[e * outputs + o]!;
        row.forEach((value, i) => (sum += value * matrix[(e * row.length + i) * outputs + o]!));
        return sum;
      });
    };
    const limit = this.#from.number("swiglu_limit", 7);
    const both = product("gate_up_proj", x, 2 * this.#inner);
    const inner = Float64Array.from({ length: this.#inner }, (_, i) => {
      const gate = Math.min(both[2 * i]!, limit);
      const up = Math.max(-limit, Math.min(both[2 * i + 1]!, limit));
      return ((up + 1) * gate) / (1 + Math.exp(-1.702 * gate));
    });
    return product("down_proj", inner, x.length);
  }

  // The chosen experts and their weights.
  #route(gate: string, x: Vector): [number, number][] {
    const from = this.#from;
    const logits = [...from.apply(gate, x)];
    const chosen = from.number("num_experts_per_tok", 1);
    const best = (scores: number[], count: number): number[] =>
      scores.map((_, i) => i).sort((a, b) => scores[b]! - scores[a]!).slice(0, count);
    const most = Math.max(...logits);
    const total = logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0);
    let scores = logits.map((logit) => Math.exp(logit - most) / total);
    let experts = best(scores, chosen);
    if (this.#style === "deepseek") {
      scores = logits.map((logit) => 1 / (1 + Math.exp(-logit)));
      const correction = from.values(`${gate}.e_score_correction_bias`);
      const corrected = scores.map((score, i) => score + correction[i]!);
      const groups = from.number("n_group", 1);
      const width = scores.length / groups;
      const strength = Array.from({ length: groups }, (_, g) => {
        const members = corrected.slice(g * width, (g + 1) * width).sort((a, b) => b - a);
        return members[0]! + (members[1] ?? 0);
      });
      const open = best(strength, from.number("topk_group", 1));
      experts = best(
        corrected.map((score, i) => (open.includes(Math.floor(i / width)) ? score : -1e9)),
        chosen,
      );
    }
    const always = this.#style === "mixtral" || this.#style === "gpt_oss";
    const sum = experts.reduce((whole, e) => whole + scores[e]!, 0);
    const divisor = always || from.config["norm_topk_prob"] === true ? sum : 1;
    const scale = from.number("routed_scaling_factor", 1) / divisor;
    return experts.map((e) => [e, scores[e]! * scale]);
  }

  apply(at: string, x: Vector): Vector {
    const mlp = `${at}${this.#style === "mixtral" ? "block_sparse_moe" : "mlp"}.`;
    const stacked = this.#style === "gpt_oss";
    const out = new Float64Array(x.length);
    for (const [e, weight] of this.#route(`${mlp}${stacked ? "router" : "gate"}`, x)) {
      const result = stacked
        ? this.#stacked(`${mlp}experts.`, e, x)
        : this.#mlp(`${mlp}experts.${e}.`, x);
      result.forEach((value, i) => (out[i]! += value * weight));
    }
    if (this.#style === "deepseek" && this.#shared > 0) {
      this.#mlp(`${mlp}shared_experts.`, x).forEach((value, i) => (out[i]! += value));
    }
    return out;
  }
}
