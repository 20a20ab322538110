// A checkpoint folder of random tensors in one of the types that hubs store, and the arithmetic in
// float64 that forward passes are written in.

import { mkdirSync, writeFileSync } from "node:fs";

export interface Config {
  model_type: string;
  vocab_size: number;
  [field: string]: unknown;
}

export type Vector = Float64Array;
export type StoredType = "F32" | "F16" | "BF16";

interface Tensor {
  shape: number[];
  values: Vector;
}

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

export class RandomCheckpoint {
  readonly #tensors = new Map<string, Tensor>();
  #state: number;
  readonly config: Config;
  readonly type: StoredType;

  constructor(config: Config, type: StoredType, seed: number) {
    this.config = config;
    this.type = type;
    this.#state = seed;
  }

  // A number of config.json, or `otherwise` where it is missing or null.
  number(field: string, otherwise: number): number {
    return (this.config[field] as number | null | undefined) ?? otherwise;
  }

  #random(): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) | 0;
    return (this.#state >>> 0) / 2 ** 32 - 0.5;
  }

  // Values within spread / 2 of the center.
  add(name: string, shape: number[], spread: number, center = 0): void {
    const count = shape.reduce((product, dim) => product * dim, 1);
    const values = Float64Array.from(
      { length: count },
      () => roundTo(this.type, center + spread * this.#random()).value,
    );
    this.#tensors.set(name, { shape, values });
  }

  // A matrix [outputs, inputs] that keeps the size of what it is applied to.
  linear(name: string, outputs: number, inputs: number, bias = false): void {
    this.add(`${name}.weight`, [outputs, inputs], 4 / Math.sqrt(inputs));
    if (bias) this.add(`${name}.bias`, [outputs], 0.5);
  }

  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  values(name: string): Vector {
    const tensor = this.#tensors.get(name);
    if (!tensor) throw new Error(`no tensor ${name}`);
    return tensor.values;
  }

  // x W^T plus the bias, if there is one.
  apply(name: string, x: Vector): Vector {
    const matrix = this.values(`${name}.weight`);
    const bias = this.#tensors.get(`${name}.bias`)?.values;
    return Float64Array.from({ length: matrix.length / x.length }, (_, o) => {
      let sum = bias?.[o] ?? 0;
      for (let i = 0; i < x.length; ++i) sum += matrix[o * x.length + i]! * x[i]!;
      return sum;
    });
  }

  // Tensors in turns over `shards` files.
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
}

export function plus(a: Vector, b: Vector): Vector {
  return a.map((value, i) => value + b[i]!);
}

// Rows of `size` values.
export function cut(flat: Vector, size: number): Vector[] {
  return Array.from({ length: flat.length / size }, (_, h) => flat.slice(h * size, (h + 1) * size));
}

export function silu(value: number): number {
  return value / (1 + Math.exp(-value));
}

export function geluTanh(value: number): number {
  return 0.5 * value * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (value + 0.044715 * value ** 3)));
}

export interface Scoring {
  scale: number;
  window: number; // How many positions a token sees.
  softcap?: number;
  sink?: number; // A score that takes part in the softmax and stands for nothing.
}

// One query over the keys and values of all positions up to its own.
export function attend(query: Vector, keys: Vector[], values: Vector[], how: Scoring): Vector {
  const first = Math.max(0, keys.length - how.window);
  const cap = how.softcap ?? 0;
  const scores = keys.slice(first).map((key) => {
    let sum = 0;
    for (let i = 0; i < key.length; ++i) sum += key[i]! * query[i]!;
    return cap === 0 ? sum * how.scale : cap * Math.tanh((sum * how.scale) / cap);
  });
  const most = Math.max(...scores, how.sink ?? -Infinity);
  const weights = scores.map((score) => Math.exp(score - most));
  const sink = how.sink === undefined ? 0 : Math.exp(how.sink - most);
  const total = weights.reduce((a, b) => a + b, sink);
  const out = new Float64Array(values[0]!.length);
  weights.forEach((weight, p) => {
    for (let i = 0; i < out.length; ++i) out[i]! += (weight / total) * values[first + p]![i]!;
  });
  return out;
}
