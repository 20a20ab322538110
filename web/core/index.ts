// The WebAssembly core, typed: `const core = await loadCore(url)`.

export { loadCore } from "./core.ts";
export type { Core, CoreSource, SampledToken } from "./core.ts";
export * from "./errors.ts";
export * from "./frames.ts";
