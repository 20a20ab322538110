// What the coordinator asks this volunteer to hold: checked against sense and the lent memory, then
// fetched.

import { ShoalError, type Assign, type StageFile } from "../core/index.ts";
import { chunkBytes, type BlobSource, type OnBytes } from "./blobs.ts";
import type { StageFiles } from "./executor.ts";
import { holdsStage, partsOf } from "./parts.ts";

const limits = {
  // A joined graph is names and shapes; weights are external.
  graphBytes: 64 * 1024 * 1024,
  blocks: 4096,
  width: 1 << 20,
  vocab: 1 << 24,
  positions: 1 << 24,
  // Below the codec's 64 MiB a frame, with room for rows and sampling.
  hopBytes: 48 * 1024 * 1024,
  experts: 65536,
  // Of a step, in all.
  routes: 16 * 1024 * 1024,
  // Each takes a chunk's buffer, and as much again for its digest.
  parallelFetches: 2,
};

export function holdsNothing(assign: Assign): boolean {
  return !holdsStage(assign) && assign.experts.length === 0;
}

// Of graphs and weights together.
export function fileBytes(assign: Assign): number {
  return filesOf(assign).reduce((sum, file) => sum + file.bytes, 0);
}

// Graphs first.
export function filesOf(assign: Assign): StageFile[] {
  return [...graphsOf(assign), ...assign.weights];
}

function graphsOf(assign: Assign): StageFile[] {
  return holdsNothing(assign) ? [] : partsOf(assign).map(({ graph }) => graph);
}

// Bytes that one position of one session takes in the KV caches of the stage.
export function kvBytesPerPosition(assign: Assign): number {
  return assign.kv.reduce((sum, slot) => sum + slot.heads * slot.head_size * 2 * 4, 0);
}

// Throws a ShoalError for an assignment that contradicts itself or does not fit into `memoryBytes`.
export function checkAssign(assign: Assign, memoryBytes: number): void {
  if (holdsNothing(assign)) return;
  const ensure = (holds: boolean, detail: string): void => {
    if (!holds) throw new ShoalError("invalid_argument", `assignment: ${detail}`);
  };
  const { first, last } = assign;
  ensure(
    first <= last &&
      last - first <= limits.blocks &&
      (first < last) === (assign.experts.length === 0),
    `blocks [${first}, ${last})`,
  );
  for (const { experts } of [...assign.parts, ...assign.experts]) {
    const fits = within(experts, limits.experts) && assign.max_rows * experts <= limits.routes;
    ensure(fits, `${experts} experts of a layer`);
  }
  ensure(within(assign.hidden, limits.width), `hidden width ${assign.hidden}`);
  ensure(within(assign.vocab, limits.vocab), `vocabulary ${assign.vocab}`);
  ensure(within(assign.positions, limits.positions), `${assign.positions} positions`);
  ensure(within(assign.max_rows, assign.positions), `${assign.max_rows} rows a step`);
  ensure(
    assign.max_rows * assign.hidden * 4 <= limits.hopBytes,
    `${assign.max_rows} rows of ${assign.hidden} do not fit a frame`,
  );
  for (const file of filesOf(assign)) checkFile(file, ensure);
  for (const graph of graphsOf(assign)) {
    ensure(graph.bytes <= limits.graphBytes, `a graph of ${graph.bytes} bytes`);
  }
  const locations = new Set(filesOf(assign).map((file) => file.location));
  ensure(locations.size === filesOf(assign).length, "a weight file is named twice");
  const blocks = new Set<number>();
  for (const { block, heads, head_size: size } of assign.kv) {
    ensure(block >= first && block < last && !blocks.has(block), `KV of block ${block}`);
    ensure(within(heads, 4096) && within(size, 65536), `KV shape ${heads} x ${size}`);
    blocks.add(block);
  }
  if (fileBytes(assign) > memoryBytes) {
    throw new ShoalError(
      "resource_exhausted",
      `${first < last ? `blocks [${first}, ${last})` : "experts"} need ${fileBytes(assign)} ` +
        `bytes, ${memoryBytes} are lent`,
    );
  }
}

function within(value: number, max: number): boolean {
  return value >= 1 && value <= max;
}

function checkFile(file: StageFile, ensure: (holds: boolean, detail: string) => void): void {
  const { location, path, bytes, chunks } = file;
  ensure(/^[0-9a-f]{64}$/.test(location), `file location ${JSON.stringify(location)}`);
  ensure(path.startsWith("/") && !path.startsWith("//"), `file path ${JSON.stringify(path)}`);
  ensure(bytes >= 1, `file ${location} is empty`);
  ensure(
    chunks.length === Math.ceil(bytes / chunkBytes),
    `file ${location} of ${bytes} bytes has ${chunks.length} chunk hashes`,
  );
  ensure(
    chunks.length > 1 || chunks[0] === location,
    `file ${location} is one chunk whose hash is ${chunks[0]}`,
  );
}

export interface FileProgress {
  location: string;
  bytes: number;
  done: number;
  // Of `done`: what crossed the network.
  fetched: number;
}

export interface LoadProgress {
  bytesDone: number;
  bytesTotal: number;
  bytesFetched: number;
  files: FileProgress[];
}

// Fetches all files of a checked assignment, a few at a time: for each graph with the weights of
// all. `onProgress` is given the same
// object every time. The first failure, or `signal`, ends all of it.
export async function fetchStage(
  assign: Assign,
  source: BlobSource,
  signal: AbortSignal,
  onProgress: (progress: LoadProgress) => void,
): Promise<StageFiles[]> {
  const all = filesOf(assign);
  const progress: LoadProgress = {
    bytesDone: 0,
    bytesTotal: fileBytes(assign),
    bytesFetched: 0,
    files: all.map(({ location, bytes }) => ({ location, bytes, done: 0, fetched: 0 })),
  };
  const failure = new AbortController();
  const either = AbortSignal.any([signal, failure.signal]);
  const blobs: Blob[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < all.length) {
      const index = next++;
      const onBytes: OnBytes = (done, fetched) => {
        progress.files[index]!.done += done;
        progress.files[index]!.fetched += fetched;
        progress.bytesDone += done;
        progress.bytesFetched += fetched;
        onProgress(progress);
      };
      blobs[index] = await source.fetch(all[index]!, either, onBytes);
    }
  };
  try {
    await Promise.all(Array.from({ length: limits.parallelFetches }, worker));
  } catch (thrown) {
    failure.abort();
    throw thrown;
  }
  const graphs = graphsOf(assign).length;
  const weights = new Map(
    assign.weights.map((file, index) => [file.location, blobs[graphs + index]!]),
  );
  return blobs.slice(0, graphs).map((graph) => ({ graph, weights }));
}
