// Configurations that the golden checkpoints do not have: other sizes, types and spellings, against
// a forward pass in float64.

import { rmSync } from "node:fs";
import { describe, expect, it } from "vitest";

import { relativeError } from "./harness/npy.ts";
import { scratch } from "./harness/paths.ts";
import { ReferenceDecoder, type Config, type StoredType } from "./harness/reference_decoder.ts";
import { evalGreedy, evalLogits, pack } from "./harness/shoal.ts";

const base = {
  hidden_size: 80,
  num_hidden_layers: 3,
  num_attention_heads: 5,
  vocab_size: 71,
  max_position_embeddings: 128,
  rms_norm_eps: 1e-5,
  intermediate_size: 50,
  hidden_act: "silu",
  tie_word_embeddings: false,
  bos_token_id: 1,
  eos_token_id: 2,
};

const latent = {
  ...base,
  model_type: "deepseek_v3",
  num_attention_heads: 3,
  kv_lora_rank: 32,
  qk_nope_head_dim: 8,
  qk_rope_head_dim: 16,
  v_head_dim: 24,
  n_routed_experts: 12,
  n_shared_experts: 2,
  num_experts_per_tok: 3,
  moe_intermediate_size: 20,
};

interface Variant {
  what: string;
  config: Config;
  type?: StoredType;
  shards?: number;
}

const variants: Variant[] = [
  {
    what: "llama: tied, biases, one key head, linear scaling in older spelling, f16, 3 shards",
    config: {
      ...base,
      model_type: "llama",
      num_key_value_heads: 1,
      tie_word_embeddings: true,
      attention_bias: true,
      mlp_bias: true,
      rope_theta: 5000,
      rope_scaling: { type: "linear", factor: 2 },
    },
    type: "F16",
    shards: 3,
  },
  {
    what: "llama: no number of key heads, heads wider than the hidden size, f32",
    config: {
      ...base,
      model_type: "llama",
      head_dim: 48,
      rope_parameters: { rope_type: "default", rope_theta: 777 },
    },
    type: "F32",
  },
  {
    what: "mistral: window of 4, yarn with a factor of its own on attention",
    config: {
      ...base,
      model_type: "mistral",
      num_key_value_heads: 5,
      head_dim: null,
      sliding_window: 4,
      rope_theta: 10000,
      rope_scaling: {
        rope_type: "yarn",
        factor: 4,
        original_max_position_embeddings: 32,
        attention_factor: 1.2,
        beta_fast: 16,
      },
    },
  },
  {
    what: "mistral: window null",
    config: { ...base, model_type: "mistral", num_key_value_heads: 1, sliding_window: null },
  },
  {
    what: "qwen2: windows from the second layer on",
    config: {
      ...base,
      model_type: "qwen2",
      num_key_value_heads: 5,
      use_sliding_window: true,
      sliding_window: 3,
      max_window_layers: 1,
    },
  },
  {
    what: "qwen3: layer_types, biases, narrow heads",
    config: {
      ...base,
      model_type: "qwen3",
      num_attention_heads: 4,
      num_key_value_heads: 2,
      head_dim: 16,
      attention_bias: true,
      sliding_window: 5,
      layer_types: ["sliding_attention", "full_attention", "sliding_attention"],
    },
  },
  {
    what: "phi3: half of a head turns, longrope",
    config: {
      ...base,
      model_type: "phi3",
      hidden_size: 64,
      num_attention_heads: 2,
      num_key_value_heads: 1,
      sliding_window: null,
      partial_rotary_factor: 0.5,
      original_max_position_embeddings: 64,
      rope_scaling: {
        type: "longrope",
        short_factor: [1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7],
        long_factor: [2, 2, 3, 3, 4, 4, 5, 5],
      },
    },
  },
  {
    what: "qwen3_moe: 5 experts of which 3, one dense layer, weights normalised",
    config: {
      ...base,
      model_type: "qwen3_moe",
      num_attention_heads: 4,
      num_key_value_heads: 1,
      head_dim: 32,
      num_experts: 5,
      num_experts_per_tok: 3,
      moe_intermediate_size: 24,
      norm_topk_prob: true,
      decoder_sparse_step: 1,
      mlp_only_layers: [1],
    },
  },
  {
    what: "deepseek_v3: no query latent, biases, groups, yarn of two magnitudes, halves turn",
    config: {
      ...latent,
      q_lora_rank: null,
      attention_bias: true,
      n_group: 4,
      topk_group: 2,
      first_k_dense_replace: 1,
      routed_scaling_factor: 1.7,
      norm_topk_prob: true,
      rope_interleave: false,
      rope_parameters: {
        rope_type: "yarn",
        rope_theta: 10000,
        factor: 4,
        original_max_position_embeddings: 32,
        mscale: 0.7,
        mscale_all_dim: 0.9,
      },
    },
  },
  {
    what: "deepseek_v3: query latent, biases, no groups, all layers mixtures, not normalised",
    config: {
      ...latent,
      q_lora_rank: 24,
      attention_bias: true,
      n_group: 1,
      topk_group: 1,
      first_k_dense_replace: 0,
      routed_scaling_factor: 0.6,
      norm_topk_prob: false,
      scoring_func: "sigmoid",
      topk_method: "noaux_tc",
      rope_theta: 3000,
    },
  },
];

const ids = [3, 61, 17, 29, 44, 8, 70, 35, 52, 11, 26, 9, 66, 40];

describe.each(variants.map((variant, index) => ({ ...variant, index })))(
  "$what",
  ({ config, type, shards, index }) => {
    it("gives the reference's logits, and greedy ids over cuts", async () => {
      const reference = new ReferenceDecoder(config, type ?? "BF16", 1000 + index);
      const folder = `${scratch}/variant-${index}`;
      rmSync(folder, { recursive: true, force: true });
      reference.write(folder, shards);
      const packed = await pack(`variant-${index}`, folder);
      const expected = reference.logits(ids);
      expect(relativeError(await evalLogits(packed, ids), expected)).toBeLessThan(1e-4);
      // Token by token through the caches, over stages.
      const count = 6;
      const greedy = await evalGreedy(packed, ids, count, [1, 3], "f32");
      const known = [...ids];
      for (let i = 0; i < count; ++i) {
        const last = reference.logits(known).slice(-config.vocab_size);
        known.push(last.indexOf(Math.max(...last)));
      }
      expect(greedy).toEqual(known.slice(ids.length));
    });
  },
);
