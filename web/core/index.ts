// The WebAssembly core, typed: `const core = await loadCore(url)`.

export { largestLogits, loadCore } from "./core.ts";
export type { Core, CoreSource, LargestLogits, SampledToken } from "./core.ts";
export * from "./errors.ts";
export * from "./frames.ts";
