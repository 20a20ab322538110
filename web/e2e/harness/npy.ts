// Reads the .npy files of little-endian float32 that the references are in.

import { readFileSync } from "node:fs";

export function readNpy(path: string): { shape: number[]; data: Float32Array } {
  const bytes = readFileSync(path);
  if (bytes.toString("latin1", 1, 6) !== "NUMPY") throw new Error(`${path} is no .npy file`);
  const long = bytes[6]! > 1;
  const headerBytes = long ? bytes.readUInt32LE(8) : bytes.readUInt16LE(8);
  const start = (long ? 12 : 10) + headerBytes;
  const header = bytes.toString("latin1", long ? 12 : 10, start);
  if (!header.includes("'<f4'") || header.includes("'fortran_order': True")) {
    throw new Error(`${path}: expected little-endian float32 in C order, found ${header}`);
  }
  const shape = /'shape': \(([^)]*)\)/.exec(header)![1]!;
  return {
    shape: shape
      .split(",")
      .filter((size) => size.trim() !== "")
      .map(Number),
    data: new Float32Array(new Uint8Array(bytes.subarray(start)).buffer),
  };
}

// The largest difference over the largest reference value.
export function relativeError(values: ArrayLike<number>, reference: ArrayLike<number>): number {
  if (values.length !== reference.length) return Infinity;
  let difference = 0;
  let largest = 0;
  for (let i = 0; i < reference.length; ++i) {
    const delta = Math.abs(values[i]! - reference[i]!);
    if (!(delta <= difference)) difference = delta;
    largest = Math.max(largest, Math.abs(reference[i]!));
  }
  return difference / largest;
}

// The same of each of `rows` rows, and of these errors the middle one: for mixtures, where rounding
// now and then chooses another expert.
export function medianError(
  values: ArrayLike<number>,
  reference: ArrayLike<number>,
  rows: number,
): number {
  if (values.length !== reference.length) return Infinity;
  const width = reference.length / rows;
  const errors = new Array<number>(rows).fill(0);
  let largest = 0;
  for (let i = 0; i < reference.length; ++i) {
    const row = Math.floor(i / width);
    const delta = Math.abs(values[i]! - reference[i]!);
    if (!(delta <= errors[row]!)) errors[row] = delta;
    largest = Math.max(largest, Math.abs(reference[i]!));
  }
  return errors.sort((a, b) => a - b)[rows >> 1]! / largest;
}
