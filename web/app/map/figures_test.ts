import { expect, it } from "vitest";

import { parseStatus } from "../common/status.ts";
import { figuresOf } from "./figures.ts";

const figures = (more: Record<string, unknown>) =>
  figuresOf(parseStatus({ ready: true, blocks: 4, volunteers: [], ...more }));

it("shows the prediction beside the measurement", () => {
  const token = (more: Record<string, unknown>) => figures(more)[1];
  expect(token({})).toMatchObject({ value: "\u2013", note: "not known yet" });
  expect(token({ predicted_token_ms: 40 })).toMatchObject({ value: "40 ms", note: "predicted" });
  expect(token({ predicted_token_ms: 45, measured_token_ms: 50 })).toMatchObject({
    value: "50 ms",
    note: "predicted 45 ms (\u221210\u00a0%)",
  });
  expect(token({ measured_token_ms: 1234 })).toMatchObject({ value: "1.2 s", note: "measured" });
});

it("counts who is here, and what they lend", () => {
  const volunteers = [
    { id: 1, state: "ready", memory_bytes: 1024 ** 3 },
    { id: 2, state: "loading", memory_bytes: 1024 ** 3 },
    { id: 3, state: "spare", memory_bytes: 1024 ** 3 },
  ];
  const [speed, , people, lent] = figures({ volunteers, sessions: 2, tokens_per_second: 3.25 });
  expect(speed).toMatchObject({ value: "3.3 tokens/s", note: "2 answers under way" });
  expect(people).toMatchObject({ value: "3", note: "1 ready, 1 loading, 1 spare" });
  expect(lent).toMatchObject({ value: "3 GB", note: "1 GB each" });
  expect(figures({})[3]).toMatchObject({ value: "none" });
});
