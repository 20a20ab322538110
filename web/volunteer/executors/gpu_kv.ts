// One session's KV cache in GPU buffers of fixed capacity. ONNX Runtime reads the past from them
// and writes the present into the same ones: nothing is copied, nothing grows from step to step.

import type { Tensor } from "onnxruntime-common";

import { ShoalError, type KvSlot } from "../../core/index.ts";
import type { KvPart } from "../executor.ts";

// GPUBufferUsage and GPUMapMode of the WebGPU specification.
const usage = { mapRead: 0x01, copySource: 0x04, copyTarget: 0x08, storage: 0x80 };
const mapModeRead = 1;

// What the caches hold; the graph says.
export type KvType = "float32" | "float16";
type FloatArray = Float32Array<ArrayBuffer> | Float16Array<ArrayBuffer>;

interface Layer {
  slot: KvSlot;
  // [heads, capacity, head_size] each.
  keys: GPUBuffer;
  values: GPUBuffer;
  keyTensor: Tensor;
  valueTensor: Tensor;
}

// Few distinct capacities, so that few distinct shapes are ever compiled for.
export function capacityTier(positions: number): number {
  let tier = 256;
  while (tier < positions) tier *= 2;
  return tier;
}

export class GpuKv {
  // Positions that may be used; the buffers have room for its tier.
  readonly capacity: number;
  readonly #room: number;
  readonly #device: GPUDevice;
  readonly #type: KvType;
  readonly #layers = new Map<number, Layer>();
  readonly #lengths = new Map<number, number>();

  constructor(
    device: GPUDevice,
    TensorType: typeof Tensor,
    slots: readonly KvSlot[],
    capacity: number,
    type: KvType,
  ) {
    this.#device = device;
    this.#type = type;
    this.capacity = capacity;
    this.#room = capacityTier(capacity);
    for (const slot of slots) {
      const { block, heads, head_size: size } = slot;
      const dims = [1, heads, this.#room, size];
      const buffer = (): GPUBuffer =>
        device.createBuffer({
          size: heads * this.#room * size * this.#valueBytes,
          usage: usage.storage | usage.copySource | usage.copyTarget,
        });
      const tensor = (of: GPUBuffer): Tensor =>
        TensorType.fromGpuBuffer(of, { dataType: type, dims });
      const [keys, values] = [buffer(), buffer()];
      const tensors = { keyTensor: tensor(keys), valueTensor: tensor(values) };
      this.#layers.set(block, { slot, keys, values, ...tensors });
      this.#lengths.set(block, 0);
    }
  }

  // Undefined for a stage without layers, which keeps nothing.
  get length(): number | undefined {
    if (this.#lengths.size === 0) return undefined;
    return Math.min(...this.#lengths.values());
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

  // A run has written up to `length`.
  advance(length: number): void {
    for (const block of this.#lengths.keys()) this.#lengths.set(block, length);
  }

  truncate(length: number): void {
    for (const [block, has] of this.#lengths) this.#lengths.set(block, Math.min(has, length));
  }

  destroy(): void {
    for (const { keys, values } of this.#layers.values()) {
      keys.destroy();
      values.destroy();
    }
  }

  async read(block: number, from: number, to: number): Promise<KvPart> {
    const layer = this.#layer(block);
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
    const { slot, keys, values } = this.#layer(block);
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
    const count = (to - from) * slot.head_size;
    const [newKeys, newValues] = [this.#encode(part.keys), this.#encode(part.values)];
    for (let head = 0; head < slot.heads; ++head) {
      const offset = this.#offset(slot, head, from);
      this.#device.queue.writeBuffer(keys, offset, newKeys, head * count, count);
      this.#device.queue.writeBuffer(values, offset, newValues, head * count, count);
    }
    this.#lengths.set(block, to);
  }

  #layer(block: number): Layer {
    const layer = this.#layers.get(block);
    if (layer === undefined) throw new ShoalError("not_found", `block ${block} keeps no KV here`);
    return layer;
  }

  // In bytes, of a position of a head.
  #offset({ head_size: size }: KvSlot, head: number, position: number): number {
    return (head * this.#room + position) * size * this.#valueBytes;
  }

  get #valueBytes(): number {
    return this.#type === "float16" ? 2 : 4;
  }

  #encode(values: Float32Array<ArrayBuffer>): FloatArray {
    return this.#type === "float16" ? new Float16Array(values) : values;
  }

  #decode(bytes: ArrayBuffer): Float32Array<ArrayBuffer> {
    return this.#type === "float16"
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
    const headBytes = (to - from) * slot.head_size * this.#valueBytes;
    if (headBytes === 0) return new Float32Array(0);
    const staging = this.#device.createBuffer({
      size: slot.heads * headBytes,
      usage: usage.copyTarget | usage.mapRead,
    });
    try {
      const encoder = this.#device.createCommandEncoder();
      for (let head = 0; head < slot.heads; ++head) {
        const offset = this.#offset(slot, head, from);
        encoder.copyBufferToBuffer(source, offset, staging, head * headBytes, headBytes);
      }
      this.#device.queue.submit([encoder.finish()]);
      await staging.mapAsync(mapModeRead);
      return this.#decode(staging.getMappedRange().slice(0));
    } finally {
      staging.destroy();
    }
  }
}
