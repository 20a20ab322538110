// Answers of /status.json as they come from swarms of any size.

export interface SwarmShape {
  // Volunteers that hold a stage, one after the other.
  holders: number;
  blocks?: number;
  // Of `holders`: how many would make the model whole.
  needed?: number;
  spares?: number;
  loading?: number;
}

const platforms = [
  "Windows; Chrome 141",
  "Android; Chrome 141",
  "macOS; Safari 26",
  "Linux; Firefox",
];

export function swarmStatus({
  holders,
  blocks = 14,
  needed = Math.max(holders, 3),
  spares = 0,
  loading = 0,
}: SwarmShape): Record<string, unknown> {
  const start = (index: number): number => Math.floor((index * blocks) / needed);
  const span = (index: number): [number, number] => {
    const at = index % needed;
    return [start(at), start(at + 1)];
  };
  const volunteers = Array.from({ length: holders + spares }, (_, index) => {
    const isHolder = index < holders;
    const isLoading = index >= holders - loading && isHolder;
    return {
      id: index + 1,
      executor: index % 3 === 0 ? "ort-webgpu" : "ort-wasm",
      blocks: isHolder ? [span(index)] : [],
      memory_bytes: (1 + (index % 4)) * 512 * 1024 ** 2,
      tokens_done: isHolder && !isLoading ? 1200 + 311 * index : 0,
      state: !isHolder ? "spare" : isLoading ? "loading" : "ready",
      bytes_done: isLoading ? 21_000_000 : 60_000_000,
      bytes_total: isHolder ? 60_000_000 : 0,
      platform: platforms[index % platforms.length],
      round_trip_ms: 12 + ((index * 37) % 90),
      block_rows_done: isHolder && !isLoading ? 5 * (1200 + 311 * index) : 0,
      step: { measured: isHolder && !isLoading ? 40 : 0, error_percent: 2 + ((index * 13) % 9) },
    };
  });
  const stages = Math.min(needed, holders - loading);
  const isReady = stages >= needed;
  // Whole pipelines of holders, one after the other; at most three are at work.
  const route = (line: number) =>
    Array.from({ length: stages }, (_, index) => ({
      id: line * needed + index + 1,
      blocks: span(index),
    }));
  const lines = [0, 1, 2].filter((line) => (line + 1) * needed <= holders - loading);
  return {
    ready: isReady,
    detail: isReady ? "" : "not every block is held",
    missing_bytes: isReady ? 0 : (needed - holders) * 60_000_000,
    blocks,
    stages_min: 1,
    model: "Storyteller 22M",
    context_tokens: 2048,
    volunteers,
    route: route(0),
    routes: isReady ? lines.map((line) => ({ stages: route(line), answers: 1 })) : [],
    predicted_token_ms: isReady ? 49.6 : 0,
    measured_token_ms: isReady ? 54.2 : 0,
    sessions: isReady ? lines.length : 0,
    tokens_per_second: isReady ? 18.4 : 0,
  };
}

export const readyStatus = swarmStatus({ holders: 3 });
