// Where things are, as seen from the repository.

import { existsSync, mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../../../", import.meta.url));
export const binary = process.env["SHOAL_BINARY"] ?? `${root}build/release/shoal`;
export const dist = process.env["SHOAL_PAGES"] ?? `${root}web/dist`;
export const storyteller = `${root}models/storyteller`;
// A third of its size, for what is slow: the GPU in software.
export const storytellerSmall = `${root}tests/golden/storyteller-7m`;
// What the tests build and may find again, packs and stages: of each worker its own.
export const scratch = `${root}build/e2e/${process.env["VITEST_POOL_ID"] ?? 0}`;
mkdirSync(scratch, { recursive: true });

export const golden = (folder: string): string => `${root}tests/golden/${folder}`;

for (const [path, how] of [
  [binary, "scripts/setup builds it"],
  [`${dist}/index.html`, "npm run build, in web/"],
] as const) {
  if (!existsSync(path)) throw new Error(`${path} does not exist: ${how}`);
}
