// The WebAssembly core, typed: `const core = await loadCore(url)`.

export * from "./core.ts";
export * from "./errors.ts";
export * from "./frames.ts";
