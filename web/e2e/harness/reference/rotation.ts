// Rotary positions in float64, as RoFormer (arXiv:2104.09864), YaRN (arXiv:2309.00071), LongRoPE
// (arXiv:2402.13753) and the description of Llama 3.1 have them, with transformers' names of
// fields.

import type { Config, Vector } from "./random_checkpoint.ts";

type Fields = Record<string, unknown>;

// What config.json says of the rotation; of layers with a window, where that is another.
function scalingOf(config: Config, windowed: boolean): Fields {
  const given = (config["rope_parameters"] ?? config["rope_scaling"] ?? {}) as Fields;
  const kind = windowed ? "sliding_attention" : "full_attention";
  if (kind in given) return given[kind] as Fields;
  const local = config["rope_local_base_freq"];
  if (windowed && local !== undefined) return { rope_theta: local, rope_type: "default" };
  return given;
}

interface Rotation {
  frequencies: number[];
  magnitude: number; // Of cosines and sines.
}

// Of heads of `size` values, in a text of `length` tokens.
function rotationOf(config: Config, size: number, windowed: boolean, length: number): Rotation {
  const scaling = scalingOf(config, windowed);
  const read = (name: string, otherwise: number): number =>
    ((scaling[name] ?? config[name]) as number | undefined) ?? otherwise;
  const theta = read("rope_theta", 10000);
  const dims = Math.floor(size * read("partial_rotary_factor", 1));
  const kind = (scaling["rope_type"] ?? scaling["type"] ?? "default") as string;
  const factor = read("factor", 1);
  const longest = config["max_position_embeddings"] as number;
  const original = read("original_max_position_embeddings", longest);
  const plain = Array.from({ length: dims / 2 }, (_, i) => theta ** ((-2 * i) / dims));
  if (kind === "linear") return { frequencies: plain.map((f) => f / factor), magnitude: 1 };
  if (kind === "llama3") {
    const low = read("low_freq_factor", 1);
    const high = read("high_freq_factor", 4);
    const frequencies = plain.map((f) => {
      const turns = (original * f) / (2 * Math.PI);
      const share = Math.min(1, Math.max(0, (turns - low) / (high - low)));
      return share * f + (1 - share) * (f / factor);
    });
    return { frequencies, magnitude: 1 };
  }
  if (kind === "longrope") {
    const each = scaling[length > original ? "long_factor" : "short_factor"] as number[];
    const magnitude = Math.sqrt(1 + Math.log(longest / original) / Math.log(original));
    return { frequencies: plain.map((f, i) => f / each[i]!), magnitude };
  }
  if (kind !== "yarn") return { frequencies: plain, magnitude: 1 };
  const dimension = (rotations: number): number =>
    (dims * Math.log(original / (rotations * 2 * Math.PI))) / (2 * Math.log(theta));
  const whole = scaling["truncate"] !== false;
  const fast = dimension(read("beta_fast", 32));
  const slow = dimension(read("beta_slow", 1));
  const low = Math.max(whole ? Math.floor(fast) : fast, 0);
  const high = Math.min(whole ? Math.ceil(slow) : slow, dims - 1);
  const frequencies = plain.map((f, i) => {
    const ramp = Math.min(1, Math.max(0, (i - low) / (high - low || 0.001)));
    return (f / factor) * ramp + f * (1 - ramp);
  });
  const temperature = (scale: number): number => 0.1 * scale * Math.log(factor) + 1;
  const all = read("mscale_all_dim", 0);
  const one = read("mscale", 0);
  const usual = one > 0 && all > 0 ? temperature(one) / temperature(all) : temperature(1);
  return { frequencies, magnitude: read("attention_factor", usual) };
}

export interface Turning {
  config: Config;
  windowed: boolean; // Whether the layer attends to a window.
  length: number; // Tokens of the whole text.
  neighbours: boolean; // Pairs are (2i, 2i + 1), not (i, i + n / 2).
}

export function turn(head: Vector, position: number, how: Turning): Vector {
  const { frequencies, magnitude } = rotationOf(how.config, head.length, how.windowed, how.length);
  const turned = head.slice();
  frequencies.forEach((frequency, i) => {
    const [a, b] = how.neighbours ? [2 * i, 2 * i + 1] : [i, i + frequencies.length];
    const cos = Math.cos(position * frequency) * magnitude;
    const sin = Math.sin(position * frequency) * magnitude;
    turned[a] = head[a]! * cos - head[b]! * sin;
    turned[b] = head[b]! * cos + head[a]! * sin;
  });
  return turned;
}

// What YaRN multiplies the scores of latent attention by.
export function latentTemperature(config: Config): number {
  const scaling = scalingOf(config, false) as Record<string, number>;
  const all = scaling["mscale_all_dim"] ?? 0;
  return all === 0 ? 1 : (0.1 * all * Math.log(scaling["factor"]!) + 1) ** 2;
}
