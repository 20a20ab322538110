// The portable C++ core (src/wasm) as a typed object.

import type { Frame, Header, Sampling, TokenProbability } from "./frames.ts";

// What the sampler chose: the fields of a token frame that it decides.
export interface SampledToken {
  token: number;
  logprob: number;
  log_sum_exp: number;
  top: TokenProbability[];
}

// Every method throws ShoalError for input that it refuses.
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
}
