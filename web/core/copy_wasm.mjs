// Copies the WebAssembly core to where the pages and the tests look for it: core/shoal_core.wasm.
// SHOAL_CORE_WASM names another file than that of the `wasm` CMake preset.
import { copyFileSync, existsSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";

const source =
  process.env.SHOAL_CORE_WASM ??
  fileURLToPath(new URL("../../build/wasm/src/wasm/shoal_core.wasm", import.meta.url));
const target = fileURLToPath(new URL("./shoal_core.wasm", import.meta.url));

if (!existsSync(source)) {
  console.error(
    `copy_wasm: ${source} does not exist; build it first: ` +
      "cmake --preset wasm && cmake --build --preset wasm",
  );
  process.exit(1);
}
copyFileSync(source, target);
console.log(`copy_wasm: ${target}, ${(statSync(target).size / 1024).toFixed(1)} KiB`);
