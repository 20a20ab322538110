import { expect, it } from "vitest";

import { describeChoice } from "./tried.ts";

const gpu = "Graphics, ONNX Runtime on WebGPU";
const engine = "Processor, Shoal\u2019s own engine";
const memoryBytes = 512 * 1024 ** 2;

it("says what was tried, how fast it is, and which was chosen", () => {
  const lines = describeChoice({
    kind: "executor",
    executor: "ort-webgpu",
    memoryBytes,
    tried: [
      { executor: "shoal", stepMs: 61.4, problem: "" },
      { executor: "ort-webgpu", stepMs: 6.14, problem: "" },
    ],
  });
  expect(lines).toEqual([
    {
      name: gpu,
      isChosen: true,
      text: "about 6.1 ms a token over 512 MB of weights: chosen",
    },
    {
      name: engine,
      isChosen: false,
      text: "about 61 ms a token over 512 MB of weights: 10.0 times as long",
    },
  ]);
});

it("says why something was not measured", () => {
  const tried = [
    { executor: "shoal" as const, stepMs: 20, problem: "" },
    { executor: "ort-webgpu" as const, stepMs: undefined, problem: "no result within 20000 ms" },
  ];
  const choice = { kind: "executor" as const, executor: "shoal" as const, memoryBytes };
  expect(describeChoice({ ...choice, tried }).map(({ text }) => text)).toEqual([
    "about 20 ms a token over 512 MB of weights: chosen",
    "could not be measured: no result within 20000 ms",
  ]);
  const firstOf = (some: typeof tried): string =>
    describeChoice({ ...choice, tried: some })[0]!.text;
  expect(firstOf(tried.slice(0, 1))).toContain("the only one here");
  expect(firstOf(tried.slice(1))).toContain("nothing could be measured");
  expect(describeChoice({ ...choice, tried: [] })).toEqual([
    { name: engine, isChosen: true, text: "as the address asks; not measured" },
  ]);
});
