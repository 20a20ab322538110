// GPT-2 of random weights (Radford et al., 2019) in float64: matrices as [inputs, outputs], learned
// positions, norms with mean and variance.

import { attend, cut, geluTanh, plus, RandomCheckpoint } from "./random_checkpoint.ts";
import type { Config, StoredType, Vector } from "./random_checkpoint.ts";

export class Gpt2 {
  readonly #from: RandomCheckpoint;
  readonly #hidden: number;
  readonly #layers: number;
  readonly #heads: number;

  constructor(config: Config, type: StoredType, seed: number) {
    const from = new RandomCheckpoint(config, type, seed);
    this.#from = from;
    this.#hidden = from.number("n_embd", 0);
    this.#layers = from.number("n_layer", 0);
    this.#heads = from.number("n_head", 0);
    const hidden = this.#hidden;
    const inner = from.number("n_inner", 4 * hidden);
    from.add("transformer.wte.weight", [config.vocab_size, hidden], 1);
    from.add("transformer.wpe.weight", [from.number("n_positions", 0), hidden], 1);
    this.#addNorm("transformer.ln_f");
    if (config["tie_word_embeddings"] === false) {
      from.add("lm_head.weight", [config.vocab_size, hidden], 0.6);
    }
    for (let layer = 0; layer < this.#layers; ++layer) {
      const at = `transformer.h.${layer}.`;
      this.#addNorm(`${at}ln_1`);
      this.#addNorm(`${at}ln_2`);
      this.#addMatrix(`${at}attn.c_attn`, hidden, 3 * hidden);
      this.#addMatrix(`${at}attn.c_proj`, hidden, hidden);
      this.#addMatrix(`${at}mlp.c_fc`, hidden, inner);
      this.#addMatrix(`${at}mlp.c_proj`, inner, hidden);
    }
  }

  #addNorm(name: string): void {
    this.#from.add(`${name}.weight`, [this.#hidden], 0.5, 1);
    this.#from.add(`${name}.bias`, [this.#hidden], 0.5);
  }

  #addMatrix(name: string, inputs: number, outputs: number): void {
    this.#from.add(`${name}.weight`, [inputs, outputs], 4 / Math.sqrt(inputs));
    this.#from.add(`${name}.bias`, [outputs], 0.5);
  }

  #norm(name: string, x: Vector): Vector {
    const weight = this.#from.values(`${name}.weight`);
    const bias = this.#from.values(`${name}.bias`);
    const mean = x.reduce((sum, value) => sum + value, 0) / x.length;
    const variance = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length;
    const deviation = Math.sqrt(variance + this.#from.number("layer_norm_epsilon", 1e-5));
    return x.map((value, i) => ((value - mean) / deviation) * weight[i]! + bias[i]!);
  }

  #apply(name: string, x: Vector): Vector {
    const matrix = this.#from.values(`${name}.weight`);
    const out = this.#from.values(`${name}.bias`).slice();
    x.forEach((value, i) => {
      for (let o = 0; o < out.length; ++o) out[o]! += value * matrix[i * out.length + o]!;
    });
    return out;
  }

  write(folder: string, shards?: number): void {
    this.#from.write(folder, shards);
  }

  // Logits [ids.length * vocab].
  logits(ids: number[]): Float64Array {
    const hidden = this.#hidden;
    const table = this.#from.values("transformer.wte.weight");
    const places = this.#from.values("transformer.wpe.weight");
    const row = (of: Vector, index: number): Vector =>
      of.slice(index * hidden, (index + 1) * hidden);
    const keys = Array.from({ length: this.#layers }, () => [] as Vector[][]);
    const values = Array.from({ length: this.#layers }, () => [] as Vector[][]);
    const size = hidden / this.#heads;
    const scale = this.#from.config["scale_attn_weights"] === false ? 1 : 1 / Math.sqrt(size);
    const head = this.#from.has("lm_head.weight") ? this.#from.values("lm_head.weight") : table;
    const out: number[] = [];
    ids.forEach((id, position) => {
      let x = plus(row(table, id), row(places, position));
      for (let layer = 0; layer < this.#layers; ++layer) {
        const at = `transformer.h.${layer}.`;
        const all = this.#apply(`${at}attn.c_attn`, this.#norm(`${at}ln_1`, x));
        const queries = cut(row(all, 0), size);
        keys[layer]!.push(cut(row(all, 1), size));
        values[layer]!.push(cut(row(all, 2), size));
        const attended = queries.flatMap((query, h) => {
          const ofHead = (rows: Vector[][]): Vector[] => rows.map((heads) => heads[h]!);
          const how = { scale, window: Infinity };
          return [...attend(query, ofHead(keys[layer]!), ofHead(values[layer]!), how)];
        });
        x = plus(x, this.#apply(`${at}attn.c_proj`, Float64Array.from(attended)));
        const inner = this.#apply(`${at}mlp.c_fc`, this.#norm(`${at}ln_2`, x)).map(geluTanh);
        x = plus(x, this.#apply(`${at}mlp.c_proj`, inner));
      }
      const last = this.#norm("transformer.ln_f", x);
      for (let token = 0; token < this.#from.config.vocab_size; ++token) {
        out.push(row(head, token).reduce((sum, value, i) => sum + value * last[i]!, 0));
      }
    });
    return Float64Array.from(out);
  }
}
