// Weights on their way to the GPU, a few at a time. ONNX Runtime asks for one after the other, and
// hands each to the GPU without waiting until it is there: a slow GPU would hold a copy of all of
// them that are under way. What it reads from here waits for what it has read before.

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

// A Blob whose streams, and those of its slices, begin when the gate admits their bytes.
export class GatedBlob extends Blob {
  readonly #gate: UploadGate;

  constructor(bytes: Blob, gate: UploadGate) {
    super([bytes]);
    this.#gate = gate;
  }

  override slice(from?: number, to?: number): Blob {
    return new GatedBlob(super.slice(from, to), this.#gate);
  }

  override stream(): ReadableStream<Uint8Array<ArrayBuffer>> {
    const reader = super.stream().getReader({ mode: "byob" });
    return new ReadableStream({
      type: "bytes",
      autoAllocateChunkSize: 1 << 20,
      start: async () => await this.#gate.admit(this.size),
      pull: async (controller) => {
        const request = controller.byobRequest!;
        const { buffer, byteOffset, byteLength } = request.view!;
        const into = new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
        const { done, value } = await reader.read(into);
        if (done) controller.close();
        request.respondWithNewView(value!);
      },
      cancel: async (reason) => await reader.cancel(reason),
    });
  }
}
