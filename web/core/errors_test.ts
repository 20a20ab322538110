import { expect, test } from "vitest";
import { errorCodeName, errorCodes, ShoalError } from "./errors.ts";
import { readRepositoryFile } from "./testing.ts";

test("codes are those of src/base/result.h", () => {
  const header = readRepositoryFile("src/base/result.h");
  const body = /enum class Code[^{]*\{([^}]*)\}/.exec(header)?.[1] ?? "";
  const found = [...body.matchAll(/k(\w+) = (\d+),/g)].map(([, name, value]) => [
    name!.replace(/(?<!^)[A-Z]/g, "_$&").toLowerCase(),
    Number(value),
  ]);
  expect(found.length).toBeGreaterThan(10);
  expect(Object.fromEntries(found)).toEqual(errorCodes);
});

test("names and numbers are inverse", () => {
  for (const [name, value] of Object.entries(errorCodes)) expect(errorCodeName(value)).toBe(name);
  expect(errorCodeName(0)).toBeUndefined();
  expect(errorCodeName(15)).toBeUndefined();
});

test("foreign errors become Shoal's, with their cause", () => {
  const cause = new TypeError("boom");
  const error = ShoalError.from(cause, "unavailable");
  expect(error).toMatchObject({ code: "unavailable", detail: "boom", cause });
  expect(error.message).toBe("unavailable: boom");
  expect(ShoalError.from(error)).toBe(error);
  expect(ShoalError.from("text")).toMatchObject({ code: "internal", detail: "text" });
});
