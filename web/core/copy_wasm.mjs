// Copies the WebAssembly modules to where the pages and the tests look for them:
// core/shoal_core.wasm and the engine's four. SHOAL_CORE_WASM names another core than that of the
// `wasm` CMake preset; the engine's modules lie beside it.
import { copyFileSync, existsSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const core =
  process.env.SHOAL_CORE_WASM ??
  fileURLToPath(new URL("../../build/wasm/src/wasm/shoal_core.wasm", import.meta.url));

const engines = ["", "_relaxed", "_threads", "_relaxed_threads"];
for (const name of ["shoal_core.wasm", ...engines.map((kind) => `shoal_engine${kind}.wasm`)]) {
  const source = name === "shoal_core.wasm" ? core : join(dirname(core), name);
  const target = fileURLToPath(new URL(`./${name}`, import.meta.url));
  if (!existsSync(source)) {
    console.error(
      `copy_wasm: ${source} does not exist; build it first: ` +
        "cmake --preset wasm && cmake --build --preset wasm",
    );
    process.exit(1);
  }
  copyFileSync(source, target);
  console.log(`copy_wasm: ${target}, ${(statSync(target).size / 1024).toFixed(1)} KiB`);
}
