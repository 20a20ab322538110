// Asking for experts' results: against the sum computed directly, whoever holds what, and whatever
// is lost on the way; and the order of a session's work.

import { describe, expect, it } from "vitest";

import type { Core, ExpertRows, ExpertSums, ExpertTable } from "../core/index.ts";
import { decodeFloats, encodeFloats, ExpertExchange } from "./expert_exchange.ts";
import { SessionGate } from "./session_gate.ts";

const hidden = 2;
const experts = 6;
const core = { allFinite: (v: Float32Array) => v.every(Number.isFinite) } as unknown as Core;

// Expert e gives (e + 1) times its input.
function answer(rows: ExpertRows): ExpertSums {
  const values = decodeFloats(core, rows.payload, "f32");
  const factors = new Float32Array(rows.rows);
  for (const { row, expert, weight } of rows.choices) factors[row]! += weight * (expert + 1);
  for (const index of values.keys()) values[index]! *= factors[Math.floor(index / rows.width)]!;
  const { request, type, width } = rows;
  return { request, type, rows: rows.rows, width, payload: encodeFloats(core, values, type) };
}

// Three groups of two experts.
function table(nodes: number[], generation = 1): ExpertTable {
  const holders = nodes.map((node, group) => {
    return { block: 4, group, first: 2 * group, count: 2, node, generation };
  });
  return { generation: 1, hop: "f32", holders };
}

const routed = Float32Array.from([1, 2, 3, 4]);
const routes = Float32Array.from([0.5, 0, 0, 0.25, 0, 0, 0, 0, 0, 0, 0, 2]);
// Of row 0: experts 0 and 3; of row 1: expert 5.
const sum = [1.5, 3, 36, 48];

function exchange(): { one: ExpertExchange; next: () => bigint } {
  let request = 1n;
  const shape = { block: 4, hidden, experts };
  return { one: new ExpertExchange(core, shape, routed, routes), next: () => request++ };
}

describe("an exchange", () => {
  it("adds up what its holders answer, each asked for its rows alone", () => {
    const { one, next } = exchange();
    const requests = one.ask(table([7, 8, 7]), next);
    expect(requests.map(({ to, rows }) => [to, rows.rows])).toEqual([
      [7, 2],
      [8, 1],
    ]);
    for (const { to, rows } of requests) {
      expect(one.onSums(to + 1, answer(rows))).toBe(false);
      expect(one.isDone).toBe(false);
      expect(one.onSums(to, answer(rows))).toBe(true);
    }
    expect(one.isDone).toBe(true);
    expect([...one.sum()]).toEqual(sum);
  });

  it("asks again whom a newer table names, and keeps what was answered", () => {
    const { one, next } = exchange();
    const [first, second] = one.ask(table([7, 8, 0]), next);
    expect(one.onSums(7, answer(first!.rows))).toBe(true);
    expect(one.missing).toMatch(/1 groups have no holder and 1 have not answered/);
    // The second holder is lost, and another comes for both.
    const again = one.ask(table([7, 9, 9]), next);
    expect(again.map(({ to }) => to)).toEqual([9]);
    expect(one.onSums(8, answer(second!.rows))).toBe(false);
    expect(one.onSums(9, answer(again[0]!.rows))).toBe(true);
    expect([...one.sum()]).toEqual(sum);
  });

  it("asks nobody twice who refused, but under another assignment", () => {
    const { one, next } = exchange();
    const [only] = one.ask(table([7, 7, 7]), next);
    const { request } = only!.rows;
    one.onRefusal(7, { request, code: "failed_precondition", detail: "" });
    expect(one.ask(table([7, 7, 7]), next)).toEqual([]);
    expect(one.ask(table([7, 7, 7], 2), next).length).toBe(1);
    expect(one.error).toBeUndefined();
  });

  it("fails on what is no answer, and on what would be refused again", () => {
    for (const change of [{ rows: 1 }, { width: 3 }, { payload: new Uint8Array(16).fill(255) }]) {
      const { one, next } = exchange();
      const [only] = one.ask(table([7, 7, 7]), next);
      expect(one.onSums(7, { ...answer(only!.rows), ...change })).toBe(true);
      expect(one.error?.code).toBe("data_loss");
    }
    const { one, next } = exchange();
    const [only] = one.ask(table([7, 7, 7]), next);
    one.onRefusal(7, { request: only!.rows.request, code: "invalid_argument", detail: "" });
    expect(one.error?.code).toBe("invalid_argument");
    expect(() => exchange().one.ask(table([7]), next)).toThrow(/not its 6 experts/);
  });
});

describe("a session gate", () => {
  it("keeps each session in order and lets others pass", async () => {
    const gate = new SessionGate();
    const begun: string[] = [];
    const end = new Map<string, () => void>();
    const push = (name: string, sessions: bigint[]): void =>
      gate.run(
        sessions,
        () =>
          new Promise((resolve) => {
            begun.push(name);
            end.set(name, resolve);
          }),
      );
    const finish = async (name: string): Promise<void> => {
      end.get(name)!();
      await new Promise((resolve) => setTimeout(resolve));
    };
    push("a1", [1n]);
    push("a2", [1n]);
    push("b1", [2n]);
    push("ab", [1n, 2n]);
    push("b2", [2n]);
    expect(begun).toEqual(["a1", "b1"]);
    await finish("b1");
    await finish("a1");
    expect(begun).toEqual(["a1", "b1", "a2"]);
    await finish("a2");
    expect(begun).toEqual(["a1", "b1", "a2", "ab"]);
    await finish("ab");
    expect(begun).toEqual(["a1", "b1", "a2", "ab", "b2"]);
  });
});
