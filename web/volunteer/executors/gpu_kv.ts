// KV caches in GPU buffers of fixed capacity. ONNX Runtime reads the past from them and writes the
// present into the same ones: nothing is copied, nothing grows from step to step.

import type { Tensor } from "onnxruntime-common";

import { ShoalError, type KvSlot } from "../../core/index.ts";
import type { KvPart } from "../executor.ts";

// GPUBufferUsage and GPUMapMode of the WebGPU specification.
export const usage = { mapRead: 0x01, copySource: 0x04, copyTarget: 0x08, storage: 0x80 };
const mapModeRead = 1;

// What the caches hold; the graph says.
export type KvType = "float32" | "float16";

// What the caches of a stage have in common.
export interface KvShape {
  slots: readonly KvSlot[];
  type: KvType;
}

interface Layer {
  slot: KvSlot;
  // [places, heads, room, head_size] each.
  keys: GPUBuffer;
  values: GPUBuffer;
  keyTensor: Tensor;
  valueTensor: Tensor;
}

// Few distinct capacities, so that few distinct shapes are ever compiled for, and that sessions can
// share buffers.
export function capacityTier(positions: number): number {
  let tier = 256;
  while (tier < positions) tier *= 2;
  return tier;
}

function valueBytes(type: KvType): number {
  return type === "float16" ? 2 : 4;
}

// Of one session's keys, or values, of the layer that takes most.
export function bytesOfPlace({ slots, type }: KvShape, room: number): number {
  const most = Math.max(0, ...slots.map(({ heads, head_size: size }) => heads * size));
  return most * room * valueBytes(type);
}

// The caches of `places` sessions, one after the other in one buffer for the keys of a layer and
// one for its values, which is how ONNX Runtime takes a batch.
export class KvBuffers {
  readonly places: number;
  readonly room: number;
  readonly device: GPUDevice;
  readonly type: KvType;
  readonly #layers = new Map<number, Layer>();

  private constructor(
    device: GPUDevice,
    TensorType: typeof Tensor,
    { slots, type }: KvShape,
    places: number,
    room: number,
  ) {
    this.device = device;
    this.type = type;
    this.places = places;
    this.room = room;
    for (const slot of slots) {
      const { block, heads, head_size: size } = slot;
      const dims = [places, heads, room, size];
      const buffer = (): GPUBuffer =>
        device.createBuffer({
          size: places * heads * room * size * valueBytes(type),
          usage: usage.storage | usage.copySource | usage.copyTarget,
        });
      const tensor = (of: GPUBuffer): Tensor =>
        TensorType.fromGpuBuffer(of, { dataType: type, dims });
      const [keys, values] = [buffer(), buffer()];
      const tensors = { keyTensor: tensor(keys), valueTensor: tensor(values) };
      this.#layers.set(block, { slot, keys, values, ...tensors });
    }
  }

  // "resource_exhausted" where the GPU has no room; that is an error of WebGPU's, not an exception.
  static async create(
    device: GPUDevice,
    TensorType: typeof Tensor,
    shape: KvShape,
    places: number,
    room: number,
  ): Promise<KvBuffers> {
    device.pushErrorScope("out-of-memory");
    const buffers = new KvBuffers(device, TensorType, shape, places, room);
    const error = await device.popErrorScope();
    if (error === null) return buffers;
    buffers.destroy();
    throw new ShoalError(
      "resource_exhausted",
      `the GPU has no room for KV caches of ${places} x ${room} positions: ${error.message}`,
    );
  }

  // By the name of the graph's input or output, for `prefix` "past" or "present".
  tensors(prefix: "past" | "present"): Record<string, Tensor> {
    const named: Record<string, Tensor> = {};
    for (const [block, { keyTensor, valueTensor }] of this.#layers) {
      named[`${prefix}.${block}.key`] = keyTensor;
      named[`${prefix}.${block}.value`] = valueTensor;
    }
    return named;
  }

  // All of the session at place `from` of `source`, which has the same room, comes to place `to`.
  take(source: KvBuffers, from: number, to: number): void {
    const encoder = this.device.createCommandEncoder();
    for (const [block, layer] of this.#layers) {
      const other = source.layer(block);
      const bytes = layer.keys.size / this.places;
      encoder.copyBufferToBuffer(other.keys, from * bytes, layer.keys, to * bytes, bytes);
      encoder.copyBufferToBuffer(other.values, from * bytes, layer.values, to * bytes, bytes);
    }
    this.device.queue.submit([encoder.finish()]);
  }

  layer(block: number): Layer {
    const layer = this.#layers.get(block);
    if (layer === undefined) throw new ShoalError("not_found", `block ${block} keeps no KV here`);
    return layer;
  }

  // In bytes, of a position of a head of a place.
  offset({ heads, head_size: size }: KvSlot, place: number, head: number, position: number) {
    return ((place * heads + head) * this.room + position) * size * valueBytes(this.type);
  }

  destroy(): void {
    for (const { keys, values } of this.#layers.values()) {
      keys.destroy();
      values.destroy();
    }
  }
}

// One session's KV cache: how long it is, and the place where it lies.
export class GpuKv {
  // Positions that may be used; the buffers have room for its tier.
  readonly capacity: number;
  #buffers: KvBuffers;
  #place = 0;
  readonly #lengths: Map<number, number>;

  // `buffers` have one place and room for `capacity`; they are the cache's own from now on.
  constructor(buffers: KvBuffers, slots: readonly KvSlot[], capacity: number) {
    this.capacity = capacity;
    this.#buffers = buffers;
    this.#lengths = new Map(slots.map(({ block }) => [block, 0]));
  }

  get buffers(): KvBuffers {
    return this.#buffers;
  }

  get place(): number {
    return this.#place;
  }

  // Undefined for a stage without layers, which keeps nothing.
  get length(): number | undefined {
    if (this.#lengths.size === 0) return undefined;
    return Math.min(...this.#lengths.values());
  }

  // Copies everything to a place of other buffers with the same room; where it lay is not freed.
  moveTo(buffers: KvBuffers, place: number): void {
    buffers.take(this.#buffers, this.#place, place);
    this.#buffers = buffers;
    this.#place = place;
  }

  // A run has written up to `length`.
  advance(length: number): void {
    for (const block of this.#lengths.keys()) this.#lengths.set(block, length);
  }

  truncate(length: number): void {
    for (const [block, has] of this.#lengths) this.#lengths.set(block, Math.min(has, length));
  }

  async read(block: number, from: number, to: number): Promise<KvPart> {
    const layer = this.#buffers.layer(block);
    const has = this.#lengths.get(block)!;
    if (from > to || to > has) {
      throw new ShoalError(
        "out_of_range",
        `positions [${from}, ${to}) of block ${block} asked for, [0, ${has}) are held`,
      );
    }
    const [keys, values] = await Promise.all(
      [layer.keys, layer.values].map((buffer) => this.#download(buffer, layer.slot, from, to)),
    );
    return { from, to, keys: keys!, values: values! };
  }

  write(block: number, part: KvPart): void {
    const { slot, keys, values } = this.#buffers.layer(block);
    const { from, to } = part;
    const has = this.#lengths.get(block)!;
    if (to < from || from > has || to > this.capacity) {
      throw new ShoalError(
        "out_of_range",
        `positions [${from}, ${to}) of block ${block} offered, [0, ${has}) are held of at most ` +
          `${this.capacity}`,
      );
    }
    const expected = slot.heads * (to - from) * slot.head_size;
    if (part.keys.length !== expected || part.values.length !== expected) {
      throw new ShoalError(
        "invalid_argument",
        `block ${block}: ${part.keys.length} keys and ${part.values.length} values, each should ` +
          `be ${expected}`,
      );
    }
    const { device, type } = this.#buffers;
    const bytes = (to - from) * slot.head_size * valueBytes(type);
    const [newKeys, newValues] = [this.#encode(part.keys), this.#encode(part.values)];
    for (let head = 0; head < slot.heads; ++head) {
      const offset = this.#buffers.offset(slot, this.#place, head, from);
      device.queue.writeBuffer(keys, offset, newKeys, head * bytes, bytes);
      device.queue.writeBuffer(values, offset, newValues, head * bytes, bytes);
    }
    this.#lengths.set(block, to);
  }

  // As bytes: not every implementation of WebGPU knows Float16Array.
  #encode(values: Float32Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    const stored = this.#buffers.type === "float16" ? new Float16Array(values) : values;
    return new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
  }

  #decode(bytes: ArrayBuffer): Float32Array<ArrayBuffer> {
    return this.#buffers.type === "float16"
      ? new Float32Array(new Float16Array(bytes))
      : new Float32Array(bytes);
  }

  // Positions [from, to) of every head, one head after the other.
  async #download(
    source: GPUBuffer,
    slot: KvSlot,
    from: number,
    to: number,
  ): Promise<Float32Array<ArrayBuffer>> {
    const { device, type } = this.#buffers;
    const headBytes = (to - from) * slot.head_size * valueBytes(type);
    if (headBytes === 0) return new Float32Array(0);
    const staging = device.createBuffer({
      size: slot.heads * headBytes,
      usage: usage.copyTarget | usage.mapRead,
    });
    try {
      const encoder = device.createCommandEncoder();
      for (let head = 0; head < slot.heads; ++head) {
        const offset = this.#buffers.offset(slot, this.#place, head, from);
        encoder.copyBufferToBuffer(source, offset, staging, head * headBytes, headBytes);
      }
      device.queue.submit([encoder.finish()]);
      await staging.mapAsync(mapModeRead);
      return this.#decode(staging.getMappedRange().slice(0));
    } finally {
      staging.destroy();
    }
  }
}
