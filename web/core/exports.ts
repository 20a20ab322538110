// The C interface of shoal_core.wasm (src/wasm/exports.cc). Pointers and sizes are unsigned; a
// function that can fail returns 0 or an error's number and leaves bytes behind in either case.

import { ShoalError } from "./errors.ts";

export interface CoreExports {
  readonly memory: WebAssembly.Memory;
  _initialize(): void;
  shoal_version(): number;
  shoal_abort_message(): number;
  shoal_alloc(bytes: number): number;
  shoal_free(pointer: number): void;
  shoal_result_data(): number;
  shoal_result_bytes(): number;
  shoal_payload_offset(): number;
  shoal_payload_bytes(): number;
  shoal_encode(json: number, jsonBytes: number, payload: number, payloadBytes: number): number;
  shoal_decode(data: number, bytes: number): number;
  shoal_header(data: number, bytes: number): number;
  shoal_sample(
    logits: number,
    vocab: number,
    json: number,
    jsonBytes: number,
    position: number,
  ): number;
  shoal_largest_needed(json: number, jsonBytes: number): number;
  shoal_f16_to_f32(source: number, target: number, count: number): void;
  shoal_f32_to_f16(source: number, target: number, count: number): void;
  shoal_all_finite(values: number, count: number): number;
}

const functionNames: readonly Exclude<keyof CoreExports, "memory">[] = [
  "_initialize",
  "shoal_version",
  "shoal_abort_message",
  "shoal_alloc",
  "shoal_free",
  "shoal_result_data",
  "shoal_result_bytes",
  "shoal_payload_offset",
  "shoal_payload_bytes",
  "shoal_encode",
  "shoal_decode",
  "shoal_header",
  "shoal_sample",
  "shoal_largest_needed",
  "shoal_f16_to_f32",
  "shoal_f32_to_f16",
  "shoal_all_finite",
];

// A module's exports, once they are known to be those of a core.
export function checkedExports(exports: WebAssembly.Exports): CoreExports {
  for (const name of functionNames) {
    if (typeof exports[name] !== "function") {
      throw new ShoalError("failed_precondition", `the module has no ${name}: not this core`);
    }
  }
  if (!(exports["memory"] instanceof WebAssembly.Memory)) {
    throw new ShoalError("failed_precondition", "the module exports no memory: not this core");
  }
  return exports as unknown as CoreExports;
}
