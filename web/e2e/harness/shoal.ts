// The command line: packs, stages and reference results, each as a promise.

import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";

import { binary, scratch } from "./paths.ts";
import { readNpy } from "./npy.ts";

const run = promisify(execFile);

async function shoal(...args: string[]): Promise<string> {
  const { stdout } = await run(binary, args, { maxBuffer: 64 << 20 });
  return stdout;
}

// The folder of the pack of a checkpoint; packing the same again costs nothing, and a pack that an
// earlier version left there gives way.
export async function pack(name: string, checkpoint: string, weights = "f32"): Promise<string> {
  const folder = `${scratch}/${name}-${weights}.pack`;
  const command = ["pack", checkpoint, "-o", folder, "--weights", weights];
  await shoal(...command).catch(() => shoal(...command, "--force"));
  return folder;
}

// The same of an ONNX model.
export async function packOnnx(name: string, file: string): Promise<string> {
  const folder = `${scratch}/${name}-onnx.pack`;
  const command = ["pack", file, "-o", folder];
  await shoal(...command).catch(() => shoal(...command, "--force"));
  return folder;
}

// stage.json of `shoal stage`, and the folder that it lies in.
export interface StageFolder {
  folder: string;
  first: number;
  last: number;
  positions: number;
  hidden: number;
  vocab: number;
  graph: string;
  kv: { block: number; heads: number; head_size: number }[];
  weights: { location: string; bytes: number; generated: boolean }[];
}

// `context`: the positions that its rotary tables cover, if not the model's.
export async function stage(
  packFolder: string,
  first: number,
  last: number,
  activations: "f32" | "f16" = "f32",
  context?: number,
): Promise<StageFolder> {
  const folder = `${packFolder}.stages/${first}-${last}-${activations}`;
  const where = ["-o", folder, "--activations", activations];
  if (context !== undefined) where.push("--context", String(context));
  await shoal("stage", packFolder, String(first), String(last), ...where);
  const description = JSON.parse(readFileSync(`${folder}/stage.json`, "utf8")) as StageFolder;
  return { ...description, folder };
}

// Logits [ids.length, vocab] of `shoal eval`, row after row.
export async function evalLogits(
  packFolder: string,
  ids: number[],
  ...flags: string[]
): Promise<Float32Array> {
  const file = `${packFolder}.logits.npy`;
  await shoal("eval", packFolder, "--ids", ids.join(","), "--logits", file, ...flags);
  return readNpy(file).data;
}

// What `shoal eval` answers in one process, greedily: `count` ids, over stages cut at `cuts`.
export async function evalGreedy(
  packFolder: string,
  ids: number[],
  count: number,
  cuts: number[],
  hop: "f32" | "f16",
  flags: string[] = [],
): Promise<number[]> {
  const where = ["--cuts", cuts.join(","), "--hop", hop, ...flags];
  const out = await shoal(
    ...["eval", packFolder, "--ids", ids.join(","), "--greedy", String(count), ...where],
  );
  return out.trim().split(/[\s,]+/).map(Number);
}

// The number of blocks, which is the number of layers and two.
export function blockCount(packFolder: string): number {
  const manifest = JSON.parse(readFileSync(`${packFolder}/manifest.json`, "utf8")) as {
    model: { layers: number };
  };
  return manifest.model.layers + 2;
}
