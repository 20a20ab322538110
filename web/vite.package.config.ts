// Builds @shoal/volunteer into package/dist.
import { copyFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig(({ command }) => ({
  root: here("package"),
  // Workers and WebAssembly are found beside the module, wherever a site puts them.
  base: "./",
  build: {
    outDir: here("package/dist"),
    emptyOutDir: true,
    target: "es2023",
    assetsInlineLimit: 0,
    modulePreload: false,
    rolldownOptions: {
      input: { index: here("package/index.ts"), chat: here("package/chat.ts") },
      preserveEntrySignatures: "strict" as const,
      output: { entryFileNames: "[name].js", comments: false },
    },
  },
  worker: { format: "es" as const, rolldownOptions: { output: { comments: false } } },
  plugins: [
    {
      name: "types",
      closeBundle(): void {
        if (command !== "build") return;
        copyFileSync(here("package/index.d.ts"), here("package/dist/index.d.ts"));
        copyFileSync(here("package/chat.d.ts"), here("package/dist/chat.d.ts"));
        // Interfaces alone: a declaration file as it is.
        copyFileSync(here("package/types.ts"), here("package/dist/types.d.ts"));
      },
    },
  ],
}));
