// Float16 weights of a file, given as float32 while they are read: nothing is kept twice.

import { keptAlive } from "../byte_streams.ts";

// As long as twice the source: what lies at [a, b) of the source lies at [2a, 2b) here. What is no
// float16 value there gives numbers that nobody asks for. It can be sliced and streamed, no more.
export class WideBlob extends Blob {
  readonly #source: Blob;

  constructor(source: Blob) {
    super();
    this.#source = source;
  }

  override get size(): number {
    return (this.#source.size - (this.#source.size % 2)) * 2;
  }

  // The bounds must be those of values.
  override slice(from = 0, to = this.size): Blob {
    return new WideBlob(this.#source.slice(from / 2, to / 2));
  }

  override stream(): ReadableStream<Uint8Array<ArrayBuffer>> {
    const reader = this.#source.stream().getReader();
    // Half a value at the end of what was read.
    let half: number[] = [];
    return new ReadableStream({
      type: "bytes",
      pull: async (controller) => {
        for (;;) {
          const { done, value } = await keptAlive(reader, reader.read());
          if (done) {
            controller.close();
            controller.byobRequest?.respond(0);
            return;
          }
          const bytes = new Uint8Array(half.length + value.length);
          bytes.set(half);
          bytes.set(value, half.length);
          half = [...bytes.subarray(bytes.length & ~1)];
          const wide = widen(new Uint16Array(bytes.buffer, 0, bytes.length >> 1));
          if (wide.length === 0) continue;
          controller.enqueue(new Uint8Array(wide.buffer));
          return;
        }
      },
      cancel: async (reason) => await reader.cancel(reason),
    });
  }
}

// Float16 codes as float32.
export function widen(codes: Uint16Array): Float32Array<ArrayBuffer> {
  const bits = new Uint32Array(codes.length);
  for (let i = 0; i < codes.length; ++i) {
    const code = codes[i]!;
    bits[i] = wideBits[code & 0x7fff]! | ((code >> 15) << 31);
  }
  return new Float32Array(bits.buffer);
}

// The bits of every float16 value without its sign.
const wideBits = new Uint32Array(0x8000);
new Float32Array(wideBits.buffer).set(
  Array.from({ length: 0x8000 }, (_, code) => {
    const [exponent, fraction] = [code >> 10, (code & 0x3ff) / 1024];
    if (exponent === 31) return fraction === 0 ? Infinity : NaN;
    return exponent === 0 ? fraction * 2 ** -14 : (1 + fraction) * 2 ** (exponent - 15);
  }),
);
