import { describe, expect, it } from "vitest";

import type { Assign, StageFile } from "../core/index.ts";
import { checkAssign, fetchStage, kvBytesPerPosition, type LoadProgress } from "./assignment.ts";
import { chunkBytes, type BlobSource } from "./blobs.ts";

const hash = (digit: string): string => digit.repeat(64);

function file(digit: string, bytes: number): StageFile {
  const chunks = Array.from({ length: Math.ceil(bytes / chunkBytes) }, () => hash(digit));
  return { location: hash(digit), path: `/blobs/${digit}`, bytes, chunks };
}

function assign(change: Partial<Assign> = {}): Assign {
  const usual: Assign = {
    generation: 1,
    first: 0,
    last: 3,
    hidden: 64,
    vocab: 100,
    positions: 256,
    max_rows: 32,
    graph: file("a", 1000),
    weights: [file("b", chunkBytes + 1), file("c", 10)],
    kv: [
      { block: 1, heads: 2, head_size: 16 },
      { block: 2, heads: 2, head_size: 16 },
    ],
    parts: [],
    experts: [],
  };
  return { ...usual, ...change };
}

const memory = 64 * 1024 * 1024;

describe("checkAssign", () => {
  it("takes what makes sense, and nothing at all", () => {
    checkAssign(assign(), memory);
    checkAssign(assign({ first: 4, last: 4, hidden: 0, weights: [] }), memory);
  });

  it.each<[string, Partial<Assign>]>([
    ["blocks backwards", { first: 3, last: 1 }],
    ["no width", { hidden: 0 }],
    ["an endless vocabulary", { vocab: 2 ** 31 }],
    ["no rows", { max_rows: 0 }],
    ["more rows than positions", { max_rows: 257 }],
    ["rows that fit no frame", { hidden: 1 << 20, positions: 256, max_rows: 256 }],
    ["a location that is no hash", { graph: { ...file("a", 10), location: "../x" } }],
    ["a path elsewhere", { graph: { ...file("a", 10), path: "//evil/x" } }],
    ["a relative path", { graph: { ...file("a", 10), path: "x" } }],
    ["an empty file", { graph: { ...file("a", 10), bytes: 0, chunks: [] } }],
    ["too few hashes", { weights: [{ ...file("b", chunkBytes + 1), chunks: [hash("b")] }] }],
    ["another hash of the same bytes", { graph: { ...file("a", 10), chunks: [hash("b")] } }],
    ["one file twice", { weights: [file("b", 1), file("b", 1)] }],
    ["a graph with the weights in it", { graph: file("a", 5 * chunkBytes) }],
    ["KV of somebody else's block", { kv: [{ block: 3, heads: 1, head_size: 1 }] }],
    ["KV of a block twice", { kv: [1, 1].map((block) => ({ block, heads: 1, head_size: 1 })) }],
    ["KV without heads", { kv: [{ block: 1, heads: 0, head_size: 1 }] }],
  ])("refuses %s", (_name, change) => {
    expect(() => checkAssign(assign(change), memory)).toThrow("invalid_argument");
  });

  it("refuses more than is lent", () => {
    const need = chunkBytes + 1011;
    checkAssign(assign(), need);
    expect(() => checkAssign(assign(), need - 1)).toThrow(
      `resource_exhausted: blocks [0, 3) need ${need} bytes, ${need - 1} are lent`,
    );
  });
});

it("counts the KV of a position", () => {
  expect(kvBytesPerPosition(assign())).toBe(2 * 2 * 16 * 2 * 4);
});

describe("fetchStage", () => {
  it("gives all files by location and counts as it goes", async () => {
    const source: BlobSource = {
      fetch: async (wanted, _signal, onBytes) => {
        onBytes(wanted.bytes, wanted.path.endsWith("c") ? 0 : wanted.bytes);
        return new Blob([wanted.path]);
      },
    };
    let last: LoadProgress | undefined;
    const signal = new AbortController().signal;
    const [files] = await fetchStage(assign(), source, signal, (progress) => (last = progress));
    expect(await files!.graph.text()).toBe("/blobs/a");
    expect([...files!.weights.keys()]).toEqual([hash("b"), hash("c")]);
    expect(await files!.weights.get(hash("c"))!.text()).toBe("/blobs/c");
    const total = chunkBytes + 1011;
    expect(last).toMatchObject({ bytesDone: total, bytesTotal: total, bytesFetched: total - 10 });
  });

  it("ends all fetches with the first failure", async () => {
    let [begun, aborted] = [0, 0];
    const source: BlobSource = {
      fetch: (wanted, signal) => {
        if (wanted.path.endsWith("b")) return Promise.reject(new Error("broken"));
        ++begun;
        return new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => {
            ++aborted;
            reject(new Error("aborted"));
          });
        });
      },
    };
    const signal = new AbortController().signal;
    await expect(fetchStage(assign(), source, signal, () => {})).rejects.toThrow("broken");
    expect(begun).toBeGreaterThan(0);
    expect(aborted).toBe(begun);
  });
});
