import { describe, expect, it } from "vitest";

import { GatedBlob, UploadGate } from "./gated_blob.ts";

// A GPU that takes what it was given when the test says so.
function slowGpu() {
  const waiting: (() => void)[] = [];
  const drained = (): Promise<void> => new Promise((resolve) => waiting.push(resolve));
  return { waiting, drained };
}

// Reads as ONNX Runtime does: by one buffer, over and over.
async function read(blob: Blob): Promise<number[]> {
  const reader = blob.stream().getReader({ mode: "byob" });
  const bytes: number[] = [];
  for (let buffer = new ArrayBuffer(7); ; ) {
    const { done, value } = await reader.read(new Uint8Array(buffer, 0, buffer.byteLength));
    if (value !== undefined) {
      bytes.push(...value);
      buffer = value.buffer;
    }
    if (done) return bytes;
  }
}

const numbers = Array.from({ length: 100 }, (_, i) => i);

function gated(bytesMax: number) {
  const gpu = slowGpu();
  const blob = new Blob([Uint8Array.from(numbers)]);
  return { gpu, blob: new GatedBlob(blob, new UploadGate(bytesMax, gpu.drained)) };
}

// Everything that can go on without the GPU has gone on.
const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50));

describe("GatedBlob", () => {
  it("gives the bytes of slices, also of slices of slices", async () => {
    const { blob, gpu } = gated(1000);
    expect(blob).toBeInstanceOf(Blob);
    expect(blob.size).toBe(100);
    expect(await read(blob.slice(10, 60))).toEqual(numbers.slice(10, 60));
    expect(await read(blob.slice(10, 60).slice(5, 8))).toEqual([15, 16, 17]);
    expect(await read(blob.slice(3, 3))).toEqual([]);
    expect(gpu.waiting.length).toBe(0);
  });

  it("holds back what would be more than the GPU may be given at once", async () => {
    const { blob, gpu } = gated(50);
    await read(blob.slice(0, 30));
    await read(blob.slice(30, 50));
    let arrived: number[] | undefined;
    const late = read(blob.slice(50, 51)).then((bytes) => (arrived = bytes));
    await settled();
    expect(arrived).toBeUndefined();
    expect(gpu.waiting.length).toBe(1);
    gpu.waiting[0]!();
    await late;
    expect(arrived).toEqual([50]);
  });

  it("lets a weight through alone that is larger", async () => {
    const { blob, gpu } = gated(50);
    expect(await read(blob.slice(0, 90))).toEqual(numbers.slice(0, 90));
    const next = read(blob.slice(90, 91));
    await settled();
    expect(gpu.waiting.length).toBe(1);
    gpu.waiting[0]!();
    expect(await next).toEqual([90]);
  });
});
