// A checkpoint with its weights moved to where q8 and q4 hold them exactly.

import { cpSync, readFileSync, writeFileSync } from "node:fs";

const blockValues = 32;

// Bits of the float32 whose upper half a bfloat16 is, and back.
const scratch = new DataView(new ArrayBuffer(4));
function fromBf16(bits: number): number {
  scratch.setUint32(0, bits << 16);
  return scratch.getFloat32(0);
}
function toBf16(value: number): number {
  scratch.setFloat32(0, value);
  if ((scratch.getUint32(0) & 0xffff) !== 0) throw new Error(`${value} is no bfloat16`);
  return scratch.getUint32(0) >>> 16;
}

// A block's values as codes -8 to 7 times a power of two; the largest becomes code -8, by which a
// quantiser that looks at the largest value finds that very power.
function snap(values: number[]): number[] {
  const largest = values.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a));
  if (largest === 0) return values;
  const scale = 2 ** Math.round(Math.log2(Math.abs(largest) / 8));
  return values.map((value) =>
    value === largest ? -8 * scale : scale * Math.max(-8, Math.min(7, Math.round(value / scale))),
  );
}

// Copies a checkpoint of one model.safetensors in bf16; the matrices of the copy lie on the grid.
export function snapCheckpoint(from: string, to: string): void {
  cpSync(from, to, { recursive: true });
  const path = `${to}/model.safetensors`;
  const file = readFileSync(path);
  const start = 8 + Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString("utf8", 8, start)) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  for (const [name, { dtype, shape, data_offsets: range }] of Object.entries(header)) {
    if (name === "__metadata__" || shape.length !== 2) continue;
    if (dtype !== "BF16" || shape[1]! % blockValues !== 0) throw new Error(`${name}: ${dtype}`);
    for (let at = start + range[0]; at < start + range[1]; at += 2 * blockValues) {
      const offsets = Array.from({ length: blockValues }, (_, i) => at + 2 * i);
      const values = snap(offsets.map((offset) => fromBf16(file.readUInt16LE(offset))));
      offsets.forEach((offset, i) => file.writeUInt16LE(toBf16(values[i]!), offset));
    }
  }
  writeFileSync(path, file);
}
