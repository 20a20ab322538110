// Builds the pages into dist/, which the coordinator serves as it is.
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  root: here("app"),
  build: {
    outDir: here("dist"),
    emptyOutDir: true,
    target: "es2023",
    // WebAssembly is streamed from a file of its own, never inlined.
    assetsInlineLimit: 0,
    rolldownOptions: {
      input: ["index.html", "lend/index.html", "map/index.html"].map((page) => here(`app/${page}`)),
    },
  },
  worker: { format: "es" },
});
