// What the address of the lend page asks for: /lend?auto=1&executor=ort-wasm&memory=512M&threads=1

import { executorNames, type ExecutorName } from "../../volunteer/executor.ts";
import { joinSecretOf } from "../common/access.ts";
import { parseSize } from "../common/size.ts";

export const memoryDefault = 512 * 1024 * 1024;
export const memoryMin = 16 * 1024 * 1024;

export interface LendRequest {
  // Start without a click. Only on loopback: nobody's machine is lent by following a link.
  auto: boolean;
  // The fastest when undefined.
  executor: ExecutorName | undefined;
  memoryBytes: number;
  // What the form says when undefined.
  threads: number | undefined;
  joinSecret: string;
}

export function isLoopback(hostname: string): boolean {
  return (
    hostname === "localhost" ||
    hostname.endsWith(".localhost") ||
    hostname === "[::1]" ||
    /^127\.\d+\.\d+\.\d+$/.test(hostname)
  );
}

// Throws an Error that says what would be right.
export function readLendRequest(url: URL): LendRequest {
  const query = url.searchParams;
  const executor = query.get("executor");
  const known = executorNames.find((name) => name === executor);
  if (executor !== null && known === undefined) {
    throw new Error(`There is no executor “${executor}”; there is ${executorNames.join(", ")}.`);
  }
  const memory = query.get("memory");
  const memoryBytes = memory === null ? memoryDefault : parseSize(memory);
  if (memoryBytes === undefined || memoryBytes < memoryMin) {
    throw new Error(`“${memory}” is no memory size; write 512M or 2G, at least 16M.`);
  }
  const named = query.get("threads");
  const threads = named === null ? undefined : Number(named);
  if (threads !== undefined && (!Number.isInteger(threads) || threads < 1 || threads > 64)) {
    throw new Error("threads is a number from 1 to 64.");
  }
  return {
    auto: query.get("auto") === "1" && isLoopback(url.hostname),
    executor: known,
    memoryBytes,
    threads,
    joinSecret: joinSecretOf(url),
  };
}
