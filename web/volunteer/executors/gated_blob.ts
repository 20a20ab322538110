// Weights on their way to the GPU, a few at a time. ONNX Runtime asks for one after the other, and
// hands each to the GPU without waiting until it is there: a slow GPU would hold a copy of all of
// them that are under way. What it reads from here waits for what it has read before.

import { byteReader, byteStream } from "../byte_streams.ts";

export class UploadGate {
  readonly #bytesMax: number;
  readonly #drained: () => Promise<unknown>;
  #underWay = 0;

  // `drained` resolves when the GPU has taken everything that was handed to it.
  constructor(bytesMax: number, drained: () => Promise<unknown>) {
    this.#bytesMax = bytesMax;
    this.#drained = drained;
  }

  // Resolves when `bytes` more may follow: a weight larger than `bytesMax` goes alone. One caller
  // at a time.
  async admit(bytes: number): Promise<void> {
    if (this.#underWay > 0 && this.#underWay + bytes > this.#bytesMax) {
      await this.#drained();
      this.#underWay = 0;
    }
    this.#underWay += bytes;
  }
}

// A Blob whose streams, and those of its slices, begin when the gate admits their bytes. It can be
// sliced and streamed, no more.
export class GatedBlob extends Blob {
  readonly #source: Blob;
  readonly #gate: UploadGate;

  constructor(source: Blob, gate: UploadGate) {
    super();
    this.#source = source;
    this.#gate = gate;
  }

  override get size(): number {
    return this.#source.size;
  }

  override slice(from?: number, to?: number): Blob {
    return new GatedBlob(this.#source.slice(from, to), this.#gate);
  }

  override stream(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return byteStream(byteReader(this.#source.stream()), () => this.#gate.admit(this.size));
  }
}
