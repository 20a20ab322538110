import { expect, it } from "vitest";

import { WorkQueue } from "./work_queue.ts";

it("does one thing at a time, in order, and goes on after a failure", async () => {
  const log: string[] = [];
  const queue = new WorkQueue({ items: 10, bytes: 100 }, (thrown) => log.push(String(thrown)));
  const work =
    (name: string): (() => Promise<void>) =>
    async () => {
      log.push(`${name} begins`);
      await Promise.resolve();
      if (name === "b") throw new Error("b fails");
      log.push(`${name} ends`);
    };
  const last = new Promise<void>((resolve) => {
    for (const name of ["a", "b", "c"]) queue.push(1, work(name));
    queue.push(1, async () => resolve());
  });
  await last;
  expect(log).toEqual(["a begins", "a ends", "b begins", "Error: b fails", "c begins", "c ends"]);
});

it("refuses more than may wait, by count and by bytes", async () => {
  const queue = new WorkQueue({ items: 2, bytes: 100 }, () => {});
  let finish = (): void => {};
  queue.push(90, () => new Promise((resolve) => (finish = resolve)));
  // The first has begun and waits no more.
  queue.push(60, async () => {});
  expect(() => queue.push(41, async () => {})).toThrow("resource_exhausted");
  queue.push(40, async () => {});
  expect(() => queue.push(0, async () => {})).toThrow("resource_exhausted");
  queue.pushAlways(1000, async () => {});
  finish();
  await new Promise<void>((resolve) => queue.pushAlways(0, async () => resolve()));
  expect(() => queue.push(100, async () => {})).not.toThrow();
});
