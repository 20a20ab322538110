// What a test of GPU kernels runs in a page.

import { openDevice } from "../../volunteer/executors/gpu_device.ts";
import { GpuLargest } from "../../volunteer/executors/gpu_largest.ts";
import type { LargestLogits } from "../../volunteer/largest.ts";

// GPUBufferUsage of the WebGPU specification: STORAGE, COPY_DST.
const storage = 0x80 | 0x08;

const device = await openDevice((detail) => {
  throw new Error(detail);
});

// Of rows of logits, each as long as the vocabulary.
async function pickLargest(rows: number[][]): Promise<(LargestLogits | undefined)[]> {
  const data = Float32Array.from(rows.flat());
  const buffer = device.createBuffer({ size: data.byteLength, usage: storage });
  device.queue.writeBuffer(buffer, 0, data);
  const largest = new GpuLargest(device, rows[0]!.length);
  // Twice: the second time in buffers that are there.
  await largest.pick(buffer, rows.length);
  const picked = await largest.pick(buffer, rows.length);
  largest.destroy();
  buffer.destroy();
  return picked;
}

export type PickLargest = typeof pickLargest;
Object.assign(globalThis, { pickLargest });
