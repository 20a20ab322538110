// Picks the largest of each row's logits where they lie, in GPU memory: a kilobyte a row is read
// back in place of the whole vocabulary.
//
// Each of 1024 threads looks through its share of a row for the largest logit, and adds up
// exp(logit - largest) on the way (Milakov and Gimelshein, "Online normalizer calculation for
// softmax", 2018). The 128th of these largest ones is a floor under the 128th of the row: the few
// logits that are not below it are collected and ranked.

import { largestLogits, type LargestLogits } from "../largest.ts";

// GPUBufferUsage, GPUShaderStage and GPUMapMode of the WebGPU specification.
const usage = { mapRead: 0x01, copySource: 0x04, copyTarget: 0x08, uniform: 0x40, storage: 0x80 };
const computeStage = 0x04;
const mapModeRead = 1;

const threads = 256;
const shares = 1024;
// More logits than these at or above the floor are not ranked.
const roomOfRow = 1024;
const kept = largestLogits;
// A logit and its id.
const pairBytes = 8;
// Of a row: largest logit, sum, floor, how many were not below it.
const summaryBytes = 16;
// The largest logit of a share and its sum.
const shareBytes = 8;

const shader = `
struct Summary { largest: f32, sum: f32, least: f32, count: atomic<u32> }
@group(0) @binding(0) var<uniform> vocab: u32;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read_write> found: array<vec2f>;
@group(0) @binding(3) var<storage, read_write> summaries: array<Summary>;
@group(0) @binding(4) var<storage, read_write> candidates: array<vec2u>;
@group(0) @binding(5) var<storage, read_write> picked: array<vec2u>;

const threads = ${threads}u;
const shares = ${shares}u;
const room = ${roomOfRow}u;
const kept = ${kept}u;
const lowest = -3.40282346e38;

// Below zero where a logit is not finite.
fn joined(a: vec2f, b: vec2f) -> vec2f {
  let largest = max(a.x, b.x);
  if (a.y < 0.0 || b.y < 0.0) { return vec2f(largest, -1.0); }
  return vec2f(largest, a.y * exp(a.x - largest) + b.y * exp(b.x - largest));
}

@compute @workgroup_size(threads)
fn look(@builtin(global_invocation_id) at: vec3u) {
  var share = vec2f(lowest, 0.0);
  for (var id = at.x; id < vocab; id += shares) {
    let logit = logits[at.y * vocab + id];
    if ((bitcast<u32>(logit) & 0x7f800000u) == 0x7f800000u) {
      share.y = -1.0;
    } else {
      share = joined(share, vec2f(logit, 1.0));
    }
  }
  found[at.y * shares + at.x] = share;
}

var<workgroup> largest: array<f32, ${shares}>;
var<workgroup> totals: array<vec2f, ${threads}>;

@compute @workgroup_size(threads)
fn findFloor(@builtin(workgroup_id) at: vec3u, @builtin(local_invocation_index) thread: u32) {
  var total = vec2f(lowest, 0.0);
  for (var i = thread; i < shares; i += threads) {
    let share = found[at.y * shares + i];
    largest[i] = share.x;
    total = joined(total, share);
  }
  totals[thread] = total;
  for (var half = threads / 2u; half > 0u; half = half >> 1u) {
    workgroupBarrier();
    if (thread < half) { totals[thread] = joined(totals[thread], totals[thread + half]); }
  }
  workgroupBarrier();
  if (thread == 0u) {
    summaries[at.y].largest = totals[0].x;
    summaries[at.y].sum = totals[0].y;
    atomicStore(&summaries[at.y].count, 0u);
  }
  for (var i = thread; i < shares; i += threads) {
    let value = largest[i];
    var rank = 0u;
    for (var other = 0u; other < shares; other++) {
      rank += select(0u, 1u, largest[other] > value || (largest[other] == value && other < i));
    }
    if (rank == kept - 1u) { summaries[at.y].least = value; }
  }
}

@compute @workgroup_size(threads)
fn collect(@builtin(global_invocation_id) at: vec3u) {
  for (var id = at.x; id < vocab; id += shares) {
    let logit = logits[at.y * vocab + id];
    if (logit >= summaries[at.y].least) {
      let place = atomicAdd(&summaries[at.y].count, 1u);
      if (place < room) {
        candidates[at.y * room + place] = vec2u(bitcast<u32>(logit), id);
      }
    }
  }
}

@compute @workgroup_size(threads)
fn rank(@builtin(global_invocation_id) at: vec3u) {
  let count = min(atomicLoad(&summaries[at.y].count), room);
  if (at.x >= count) { return; }
  let pair = candidates[at.y * room + at.x];
  let value = bitcast<f32>(pair.x);
  var place = 0u;
  for (var i = 0u; i < count; i++) {
    let other = candidates[at.y * room + i];
    let logit = bitcast<f32>(other.x);
    place += select(0u, 1u, logit > value || (logit == value && other.y < pair.y));
  }
  if (place < kept) { picked[at.y * kept + place] = pair; }
}
`;

// Buffers for so many rows.
interface Room {
  rows: number;
  found: GPUBuffer;
  summaries: GPUBuffer;
  candidates: GPUBuffer;
  picked: GPUBuffer;
  staging: GPUBuffer;
}

export class GpuLargest {
  readonly #device: GPUDevice;
  readonly #vocab: number;
  readonly #layout: GPUBindGroupLayout;
  readonly #pipelines: GPUComputePipeline[];
  readonly #uniform: GPUBuffer;
  #room: Room | undefined;

  constructor(device: GPUDevice, vocab: number) {
    this.#device = device;
    this.#vocab = vocab;
    const types = ["uniform", "read-only-storage", ...Array(4).fill("storage")] as const;
    this.#layout = device.createBindGroupLayout({
      entries: types.map((type, binding) => ({
        binding,
        visibility: computeStage,
        buffer: { type: type as GPUBufferBindingType },
      })),
    });
    const layout = device.createPipelineLayout({ bindGroupLayouts: [this.#layout] });
    const module = device.createShaderModule({ code: shader });
    this.#pipelines = ["look", "findFloor", "collect", "rank"].map((entryPoint) =>
      device.createComputePipeline({ layout, compute: { module, entryPoint } }),
    );
    this.#uniform = device.createBuffer({ size: 4, usage: usage.uniform | usage.copyTarget });
    device.queue.writeBuffer(this.#uniform, 0, Uint32Array.of(vocab));
  }

  // Of `logits`, float32 [rows, vocab]: each row's largest, sorted, of equals the lower id first.
  // `logSumExp` is NaN where one of a row's logits is not finite. Undefined where so many are equal
  // that they were not ranked.
  async pick(logits: GPUBuffer, rows: number): Promise<(LargestLogits | undefined)[]> {
    const { found, summaries, candidates, picked, staging } = this.#roomFor(rows);
    const encoder = this.#device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    const buffers = [this.#uniform, logits, found, summaries, candidates, picked];
    const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
    pass.setBindGroup(0, this.#device.createBindGroup({ layout: this.#layout, entries }));
    const [look, findFloor, collect, rank] = this.#pipelines;
    for (const [pipeline, workgroups] of [
      [look!, shares / threads],
      [findFloor!, 1],
      [collect!, shares / threads],
      [rank!, roomOfRow / threads],
    ] as const) {
      pass.setPipeline(pipeline);
      pass.dispatchWorkgroups(workgroups, rows);
    }
    pass.end();
    encoder.copyBufferToBuffer(summaries, 0, staging, 0, summaries.size);
    encoder.copyBufferToBuffer(picked, 0, staging, summaries.size, picked.size);
    this.#device.queue.submit([encoder.finish()]);
    await staging.mapAsync(mapModeRead);
    const bytes = staging.getMappedRange().slice(0);
    staging.unmap();
    return Array.from({ length: rows }, (_, row) => this.#row(bytes, rows, row));
  }

  destroy(): void {
    this.#uniform.destroy();
    this.#leaveRoom();
  }

  #row(bytes: ArrayBuffer, rows: number, row: number): LargestLogits | undefined {
    const summary = new DataView(bytes, row * summaryBytes, summaryBytes);
    const [largest, sum] = [summary.getFloat32(0, true), summary.getFloat32(4, true)];
    if (sum >= 0 && summary.getUint32(12, true) > roomOfRow) return undefined;
    const count = Math.min(kept, this.#vocab);
    const pairs = new DataView(bytes, rows * summaryBytes + row * kept * pairBytes);
    const ids = new Int32Array(count);
    const logits = new Float32Array(count);
    for (let i = 0; i < count; ++i) {
      logits[i] = pairs.getFloat32(i * pairBytes, true);
      ids[i] = pairs.getInt32(i * pairBytes + 4, true);
    }
    return { ids, logits, logSumExp: sum < 0 ? NaN : largest + Math.log(sum) };
  }

  #roomFor(rows: number): Room {
    if (this.#room?.rows === rows) return this.#room;
    this.#leaveRoom();
    const buffer = (size: number, more = 0): GPUBuffer =>
      this.#device.createBuffer({ size: rows * size, usage: usage.storage | more });
    const resultBytes = summaryBytes + kept * pairBytes;
    this.#room = {
      rows,
      found: buffer(shares * shareBytes),
      summaries: buffer(summaryBytes, usage.copySource),
      candidates: buffer(roomOfRow * pairBytes),
      picked: buffer(kept * pairBytes, usage.copySource),
      staging: this.#device.createBuffer({
        size: rows * resultBytes,
        usage: usage.copyTarget | usage.mapRead,
      }),
    };
    return this.#room;
  }

  #leaveRoom(): void {
    if (this.#room === undefined) return;
    const { found, summaries, candidates, picked, staging } = this.#room;
    for (const buffer of [found, summaries, candidates, picked, staging]) buffer.destroy();
    this.#room = undefined;
  }
}
