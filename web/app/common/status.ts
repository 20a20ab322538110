// /status.json: who is here and who holds what, asked for again and again.

export interface VolunteerStatus {
  id: number;
  executor: string;
  // Ranges [a, b) of blocks.
  blocks: [number, number][];
  memoryBytes: number;
  tokensDone: number;
  // "loading", "ready", ...; "" when the coordinator does not say.
  state: string;
  // Of the download of what it is to hold; both 0 when there is none.
  bytesDone: number;
  bytesTotal: number;
  // To the coordinator and back; 0 when not known.
  roundTripMs: number;
  // Rows times blocks that the coordinator has credited it with.
  blockRowsDone: number;
  // How far predicted times of its steps are off on average; undefined before it was measured.
  stepErrorPercent: number | undefined;
}

// Consecutive blocks [a, b) on one volunteer.
export interface StageStatus {
  id: number;
  blocks: [number, number];
}

// A way through the stages, and how many answers pass along it now.
export interface RouteStatus {
  stages: StageStatus[];
  answers: number;
}

export interface Status {
  ready: boolean;
  missingBytes: number;
  blocks: number;
  volunteers: VolunteerStatus[];
  // The stages that a token passes, in order; empty while there is no plan.
  route: StageStatus[];
  // Those of the answers under way.
  routes: RouteStatus[];
  sessions: number;
  tokensPerSecond: number;
  // What one token takes as the plan predicts it, and as it was measured; 0 when not known.
  predictedTokenMs: number;
  measuredTokenMs: number;
  // Name of the model served; "" when the coordinator does not say.
  model: string;
  // What is missing, in the coordinator's words; "" when it does not say.
  detail: string;
}

type Json = Record<string, unknown>;

function isJson(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function numberOf(value: unknown): number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : 0;
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function isRange(value: unknown): value is [number, number] {
  return (
    Array.isArray(value) &&
    value.length === 2 &&
    value.every((item) => Number.isInteger(item) && (item as number) >= 0) &&
    (value[0] as number) < (value[1] as number)
  );
}

// Reads what is known and leaves out what is absent or odd. Throws when it is no status at all.
export function parseStatus(json: unknown): Status {
  if (!isJson(json) || typeof json["ready"] !== "boolean") {
    throw new Error("the coordinator's status has an unknown form");
  }
  const volunteers = Array.isArray(json["volunteers"]) ? json["volunteers"].filter(isJson) : [];
  return {
    ready: json["ready"],
    missingBytes: numberOf(json["missing_bytes"]),
    blocks: numberOf(json["blocks"]),
    volunteers: volunteers.map((volunteer) => ({
      id: numberOf(volunteer["id"]),
      executor: textOf(volunteer["executor"]),
      blocks: Array.isArray(volunteer["blocks"]) ? volunteer["blocks"].filter(isRange) : [],
      memoryBytes: numberOf(volunteer["memory_bytes"]),
      tokensDone: numberOf(volunteer["tokens_done"]),
      state: textOf(volunteer["state"]),
      bytesDone: numberOf(volunteer["bytes_done"]),
      bytesTotal: numberOf(volunteer["bytes_total"]),
      roundTripMs: numberOf(volunteer["round_trip_ms"]),
      blockRowsDone: numberOf(volunteer["block_rows_done"]),
      stepErrorPercent: readStepError(volunteer["step"]),
    })),
    route: readRoute(json["route"]),
    routes: readRoutes(json["routes"]),
    sessions: numberOf(json["sessions"]),
    tokensPerSecond: numberOf(json["tokens_per_second"]),
    predictedTokenMs: numberOf(json["predicted_token_ms"]),
    measuredTokenMs: numberOf(json["measured_token_ms"]),
    model: textOf(json["model"]),
    detail: textOf(json["detail"]),
  };
}

function readRoute(value: unknown): StageStatus[] {
  if (!Array.isArray(value)) return [];
  return value.filter(isJson).flatMap((stage) => {
    const blocks = stage["blocks"];
    return isRange(blocks) ? [{ id: numberOf(stage["id"]), blocks }] : [];
  });
}

function readRoutes(value: unknown): RouteStatus[] {
  if (!Array.isArray(value)) return [];
  return value.filter(isJson).flatMap((route) => {
    const stages = readRoute(route["stages"]);
    return stages.length > 0 ? [{ stages, answers: numberOf(route["answers"]) }] : [];
  });
}

function readStepError(step: unknown): number | undefined {
  if (!isJson(step) || numberOf(step["measured"]) === 0) return undefined;
  return numberOf(step["error_percent"]);
}

// The whole way of a token: the stages of the route, and between them what nobody holds (id 0).
export function stagesOf(status: Status): StageStatus[] {
  const stages: StageStatus[] = [];
  let at = 0;
  const passTo = (block: number): void => {
    if (block > at) stages.push({ id: 0, blocks: [at, block] });
  };
  for (const stage of [...status.route].sort((a, b) => a.blocks[0] - b.blocks[0])) {
    const [from, to] = stage.blocks;
    if (from < at || to > status.blocks) continue;
    passTo(from);
    stages.push(stage);
    at = to;
  }
  passTo(status.blocks);
  return stages;
}

const pollMs = 1500;
const timeoutMs = 5000;

// Calls `onStatus` with every answer, and with undefined when the coordinator cannot be reached.
// Rests while the page is hidden.
export function watchStatus(onStatus: (status: Status | undefined) => void): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const poll = async (): Promise<void> => {
    onStatus(await askStatus());
    clearTimeout(timer);
    if (!document.hidden) timer = setTimeout(() => void poll(), pollMs);
  };
  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (!document.hidden) void poll();
  });
  void poll();
}

async function askStatus(): Promise<Status | undefined> {
  try {
    const response = await fetch("/status.json", {
      cache: "no-store",
      signal: AbortSignal.timeout(timeoutMs),
    });
    if (!response.ok) return undefined;
    return parseStatus(await response.json());
  } catch {
    return undefined;
  }
}

// Blocks that nobody holds, as ranges.
export function unheldRanges(status: Status): [number, number][] {
  const held = new Uint8Array(status.blocks);
  for (const volunteer of status.volunteers) {
    for (const [from, to] of volunteer.blocks) held.fill(1, from, Math.min(to, status.blocks));
  }
  const ranges: [number, number][] = [];
  for (let block = 0; block < status.blocks; ++block) {
    if (held[block] === 1) continue;
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === block) last[1] = block + 1;
    else ranges.push([block, block + 1]);
  }
  return ranges;
}

// "embedding", "layer 3", "layers 7-8 and head": in words, of a model of `blocks` blocks.
export function describeBlocks([from, to]: [number, number], blocks: number): string {
  const parts: string[] = [];
  const head = blocks - 1;
  const first = Math.max(from, 1);
  const last = Math.min(to, head) - 1;
  if (from === 0) parts.push("embedding");
  if (first === last) parts.push(`layer ${first}`);
  else if (first < last) parts.push(`layers ${first}\u2013${last}`);
  if (to > head && from <= head) parts.push("head");
  if (parts.length <= 2) return parts.join(" and ");
  return `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}`;
}

// Whether every block has somebody who holds it or fetches it, and some are still fetched.
export function isArriving(status: Status): boolean {
  const isLoading = status.volunteers.some(({ state }) => state === "loading");
  return !status.ready && isLoading && unheldRanges(status).length === 0;
}
