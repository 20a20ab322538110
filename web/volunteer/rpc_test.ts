import { expect, it } from "vitest";

import { ShoalError } from "../core/index.ts";
import { Caller, serveCalls, type Port } from "./rpc.ts";

type Calls = {
  double: { in: number; out: number };
  bytes: { in: Uint8Array<ArrayBuffer>; out: Uint8Array<ArrayBuffer> };
  fail: { in: string; out: void };
};

function connect(): Caller<Calls> {
  const { port1, port2 } = new MessageChannel();
  port1.start();
  port2.start();
  serveCalls<Calls>(port2 as unknown as Port, {
    double: (value) => value * 2,
    bytes: async (value, transfer) => {
      transfer.push(value.buffer);
      return value;
    },
    fail: (detail) => {
      throw detail === "own" ? new ShoalError("data_loss", "lost") : new Error(detail);
    },
  });
  return new Caller<Calls>(port1 as unknown as Port);
}

it("answers calls with results and errors", async () => {
  const caller = connect();
  const input = new Uint8Array([1, 2, 3]);
  const answers = [caller.call("double", 21), caller.call("bytes", input, [input.buffer])];
  expect(await Promise.all(answers)).toEqual([42, new Uint8Array([1, 2, 3])]);
  expect(input.length).toBe(0);
  await expect(caller.call("fail", "own")).rejects.toMatchObject({ code: "data_loss" });
  await expect(caller.call("fail", "foreign")).rejects.toMatchObject({
    code: "internal",
    detail: "foreign",
  });
});

it("fails every call when the other side is gone", async () => {
  const caller = connect();
  const underWay = caller.call("double", 1);
  caller.fail(new ShoalError("internal", "died"));
  await expect(underWay).rejects.toThrow("died");
  await expect(caller.call("double", 1)).rejects.toThrow("died");
});
