// The portable C++ core (src/wasm) as a typed object.

import { errorCodeName, ShoalError } from "./errors.ts";
import { checkedExports } from "./exports.ts";
import type { CoreExports } from "./exports.ts";
import type { Frame, Header, Sampling, Token, TokenProbability } from "./frames.ts";
import { frameFromWire, frameToWire, samplingToWire } from "./json.ts";

// What the sampler chose: the fields of a token frame that it decides.
export interface SampledToken {
  token: number;
  logprob: number;
  log_sum_exp: number;
  top: TokenProbability[];
}

// Every method throws ShoalError for input that it refuses. After an error "internal" the core is
// unusable: load another.
export interface Core {
  // "0.1.0", of the C++ side.
  readonly version: string;

  encode(frame: Frame): Uint8Array<ArrayBuffer>;
  // Payloads of the returned frame are views into `bytes`.
  decode(bytes: Uint8Array): Frame;
  // Reads and checks the 16-byte header of a whole frame, without decoding the body.
  header(bytes: Uint8Array): Header;

  // IEEE binary16, exact one way and rounded to nearest even the other.
  f16ToF32(values: Uint16Array): Float32Array<ArrayBuffer>;
  f32ToF16(values: Float32Array): Uint16Array<ArrayBuffer>;
  // Whether no value is infinite or NaN.
  allFinite(values: Float32Array): boolean;

  // Chooses the token at `position` from one row of logits. `sampling.row` is not looked at.
  sample(logits: Float32Array, sampling: Sampling, position: number): SampledToken;
  // How many of the largest logits decide what `sample` gives; 0 where all are needed.
  largestNeeded(sampling: Sampling): number;
}

export type CoreSource = string | URL | Response | BufferSource | WebAssembly.Module;

// Compiles and starts shoal_core.wasm: from an address, a fetched response, its bytes or a compiled
// module. ShoalError "unavailable" when it cannot be fetched, "failed_precondition" when it is not
// the core.
export async function loadCore(source: CoreSource): Promise<Core> {
  const module = await compile(source);
  try {
    const instance = await WebAssembly.instantiate(module, {});
    return startCore(checkedExports(instance.exports));
  } catch (thrown) {
    throw ShoalError.from(thrown, "failed_precondition");
  }
}

// A core over the exports of a fresh instance, or over stand-ins for them.
export function startCore(exports: CoreExports): Core {
  return new WasmCore(exports);
}

async function compile(source: CoreSource): Promise<WebAssembly.Module> {
  if (source instanceof WebAssembly.Module) return source;
  let bytes: BufferSource;
  if (typeof source === "string" || source instanceof URL || source instanceof Response) {
    bytes = await fetchBytes(source);
  } else {
    bytes = source;
  }
  try {
    return await WebAssembly.compile(bytes);
  } catch (thrown) {
    throw ShoalError.from(thrown, "failed_precondition");
  }
}

// The module is small: streaming compilation would gain nothing and depend on its MIME type.
async function fetchBytes(source: string | URL | Response): Promise<ArrayBuffer> {
  try {
    const response = source instanceof Response ? source : await fetch(source);
    if (!response.ok) throw new Error(`HTTP status ${response.status}`);
    return await response.arrayBuffer();
  } catch (thrown) {
    const address = source instanceof Response ? source.url : String(source);
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    throw new ShoalError("unavailable", `${address}: ${reason}`, { cause: thrown });
  }
}

interface Region {
  pointer: number;
  bytes: number;
}

class WasmCore implements Core {
  readonly version: string;
  readonly #exports: CoreExports;
  readonly #encoder = new TextEncoder();
  readonly #decoder = new TextDecoder();
  #broken: string | undefined;

  constructor(exports: CoreExports) {
    this.#exports = exports;
    this.#call(() => exports._initialize());
    this.version = this.#cString(exports.shoal_version());
  }

  encode(frame: Frame): Uint8Array<ArrayBuffer> {
    const wire = frameToWire(frame);
    return this.#withInputs([this.#encoder.encode(wire.json), wire.payload], (json, payload) => {
      const { pointer, bytes } = payload;
      this.#check(() => this.#exports.shoal_encode(json.pointer, json.bytes, pointer, bytes));
      return this.#result().slice();
    });
  }

  decode(bytes: Uint8Array): Frame {
    const { json, offset, size } = this.#withInputs([bytes], (frame) => {
      this.#check(() => this.#exports.shoal_decode(frame.pointer, frame.bytes));
      return {
        json: this.#resultText(),
        offset: this.#exports.shoal_payload_offset(),
        size: this.#exports.shoal_payload_bytes(),
      };
    });
    return frameFromWire(json, bytes.subarray(offset, offset + size));
  }

  header(bytes: Uint8Array): Header {
    return this.#withInputs([bytes], (frame) => {
      this.#check(() => this.#exports.shoal_header(frame.pointer, frame.bytes));
      return JSON.parse(this.#resultText()) as Header;
    });
  }

  f16ToF32(values: Uint16Array): Float32Array<ArrayBuffer> {
    const result = new Float32Array(values.length);
    this.#withInputs([bytesOf(values), result.byteLength], (source, target) => {
      this.#call(() =>
        this.#exports.shoal_f16_to_f32(source.pointer, target.pointer, values.length),
      );
      bytesOf(result).set(this.#view(target));
    });
    return result;
  }

  f32ToF16(values: Float32Array): Uint16Array<ArrayBuffer> {
    const result = new Uint16Array(values.length);
    this.#withInputs([bytesOf(values), result.byteLength], (source, target) => {
      this.#call(() =>
        this.#exports.shoal_f32_to_f16(source.pointer, target.pointer, values.length),
      );
      bytesOf(result).set(this.#view(target));
    });
    return result;
  }

  allFinite(values: Float32Array): boolean {
    return this.#withInputs([bytesOf(values)], (source) =>
      this.#call(() => this.#exports.shoal_all_finite(source.pointer, values.length) === 1),
    );
  }

  sample(logits: Float32Array, sampling: Sampling, position: number): SampledToken {
    if (!Number.isInteger(position) || position < 0 || position > 0xffffffff) {
      throw new ShoalError("invalid_argument", `position: ${position} is no position`);
    }
    const json = this.#encoder.encode(samplingToWire(sampling));
    return this.#withInputs([bytesOf(logits), json], (values, text) => {
      this.#check(() =>
        this.#exports.shoal_sample(
          values.pointer,
          logits.length,
          text.pointer,
          text.bytes,
          position,
        ),
      );
      const { token, logprob, log_sum_exp, top } = JSON.parse(this.#resultText()) as Token;
      return { token, logprob, log_sum_exp, top };
    });
  }

  largestNeeded(sampling: Sampling): number {
    return this.#withInputs([this.#encoder.encode(samplingToWire(sampling))], (json) => {
      this.#check(() => this.#exports.shoal_largest_needed(json.pointer, json.bytes));
      return Number(this.#resultText());
    });
  }

  // Copies byte arrays into the module's memory, or makes room where only a size is given, for the
  // duration of `use`.
  #withInputs<T>(inputs: (Uint8Array | number)[], use: (...regions: [Region, Region]) => T): T {
    const regions: Region[] = [];
    try {
      for (const input of inputs) {
        const bytes = typeof input === "number" ? input : input.byteLength;
        const pointer = this.#call(() => this.#exports.shoal_alloc(bytes)) >>> 0;
        if (pointer === 0) {
          throw new ShoalError("resource_exhausted", `no memory for ${bytes} bytes`);
        }
        regions.push({ pointer, bytes });
        if (typeof input !== "number") this.#view({ pointer, bytes }).set(input);
      }
      return use(...(regions as [Region, Region]));
    } finally {
      if (this.#broken === undefined) {
        for (const region of regions) this.#exports.shoal_free(region.pointer);
      }
    }
  }

  // Runs one export; a trap makes the core unusable and becomes an error.
  #call<T>(run: () => T): T {
    if (this.#broken !== undefined) throw new ShoalError("internal", this.#broken);
    try {
      return run();
    } catch (thrown) {
      if (!(thrown instanceof WebAssembly.RuntimeError) && !(thrown instanceof RangeError)) {
        throw thrown;
      }
      const message = this.#cString(this.#exports.shoal_abort_message());
      this.#broken = `the core trapped: ${message === "" ? thrown.message : message}`;
      throw new ShoalError("internal", this.#broken, { cause: thrown });
    }
  }

  // Runs an export that returns 0 or an error's number.
  #check(run: () => number): void {
    const code = this.#call(run);
    if (code !== 0) throw new ShoalError(errorCodeName(code) ?? "internal", this.#resultText());
  }

  // Views are made afresh each time: memory that grows detaches those before.
  #view(region: Region): Uint8Array<ArrayBuffer> {
    const buffer = this.#exports.memory.buffer as ArrayBuffer;
    return new Uint8Array(buffer, region.pointer, region.bytes);
  }

  #result(): Uint8Array<ArrayBuffer> {
    return this.#view({
      pointer: this.#exports.shoal_result_data() >>> 0,
      bytes: this.#exports.shoal_result_bytes() >>> 0,
    });
  }

  #resultText(): string {
    return this.#decoder.decode(this.#result());
  }

  #cString(pointer: number): string {
    const memory = new Uint8Array(this.#exports.memory.buffer);
    return this.#decoder.decode(memory.subarray(pointer, memory.indexOf(0, pointer)));
  }
}

function bytesOf(values: Uint16Array | Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
