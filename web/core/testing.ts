// For tests in node: the core's module, and the golden files that both sides are held against.

import { readdirSync, readFileSync } from "node:fs";
import { loadCore } from "./core.ts";
import type { Core } from "./core.ts";

const golden = new URL("../../tests/golden/", import.meta.url);

export function readModule(): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(new URL("./shoal_core.wasm", import.meta.url)));
}

export function loadTestCore(): Promise<Core> {
  return loadCore(readModule());
}

export function readRepositoryFile(path: string): string {
  return readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
}

export interface GoldenFrame {
  name: string;
  // As in the file: u64 as strings, byte strings as hex.
  json: unknown;
  hex: string;
}

// tests/golden/wire: every frame as JSON and as bytes.
export function goldenFrames(): GoldenFrame[] {
  return readdirSync(new URL("wire/", golden))
    .filter((file) => file.endsWith(".json"))
    .map((file) => {
      const name = file.slice(0, -".json".length);
      return {
        name,
        json: JSON.parse(readRepositoryFile(`tests/golden/wire/${file}`)) as unknown,
        hex: readRepositoryFile(`tests/golden/wire/${name}.hex`).replaceAll("\n", ""),
      };
    });
}
