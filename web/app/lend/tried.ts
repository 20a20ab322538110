// What this tab computes with, and what that was chosen from.

import type { ExecutorName } from "../../volunteer/executor.ts";
import type { Tried, VolunteerEvent } from "../../volunteer/volunteer.ts";
import { byId, el } from "../common/dom.ts";
import { formatSize } from "../common/size.ts";

const names: Record<ExecutorName, string> = {
  shoal: "Processor, Shoal\u2019s own engine",
  "ort-webgpu": "Graphics, ONNX Runtime on WebGPU",
  "ort-wasm": "Processor, ONNX Runtime",
};

type Choice = VolunteerEvent & { kind: "executor" };

export interface Line {
  name: string;
  isChosen: boolean;
  text: string;
}

// One line for each executor, the chosen one first.
export function describeChoice({ executor, memoryBytes, tried }: Choice): Line[] {
  const chosen = tried.find((one) => one.executor === executor);
  const others = tried.filter((one) => one !== chosen);
  return [
    { name: names[executor], isChosen: true, text: describeChosen(chosen, tried, memoryBytes) },
    ...others.map((one) => ({
      name: names[one.executor],
      isChosen: false,
      text: describeOther(one, chosen, memoryBytes),
    })),
  ];
}

function describeChosen(chosen: Tried | undefined, tried: Tried[], bytes: number): string {
  if (tried.length === 0) return "as the address asks; not measured";
  if (chosen?.stepMs === undefined) return "chosen, as nothing could be measured";
  const why = tried.length === 1 ? "the only one here" : "chosen";
  return `${speed(chosen.stepMs, bytes)}: ${why}`;
}

function describeOther(other: Tried, chosen: Tried | undefined, bytes: number): string {
  const { stepMs, problem } = other;
  if (stepMs === undefined) return `could not be measured: ${problem}`;
  const text = speed(stepMs, bytes);
  if (chosen?.stepMs === undefined) return text;
  return `${text}: ${(stepMs / chosen.stepMs).toFixed(1)} times as long`;
}

function speed(stepMs: number, bytes: number): string {
  const ms = stepMs < 10 ? stepMs.toFixed(1) : String(Math.round(stepMs));
  return `about ${ms} ms a token over ${formatSize(bytes)} of weights`;
}

export function showChoice(choice: Choice): void {
  const lines = describeChoice(choice).map(({ name, isChosen, text }) =>
    el("li", { "data-chosen": isChosen }, el("strong", {}, name), ` \u2013 ${text}`),
  );
  byId("tried", HTMLElement).replaceChildren(...lines);
  byId("tried-row", HTMLElement).hidden = false;
}
