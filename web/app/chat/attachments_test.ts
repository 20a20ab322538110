import { describe, expect, it } from "vitest";

import { readTextFile } from "./attachments.ts";

const file = (bytes: number[] | string, name = "a.txt"): File =>
  new File([typeof bytes === "string" ? bytes : new Uint8Array(bytes)], name);

describe("readTextFile", () => {
  it("reads text in the encodings of text files", async () => {
    const utf8 = file("\ufeffgr\u00fc\u00df\r\ndich");
    expect(await readTextFile(utf8)).toEqual({ name: "a.txt", text: "gr\u00fc\u00df\ndich" });
    expect((await readTextFile(file([0xff, 0xfe, 0x68, 0, 0x69, 0]))).text).toBe("hi");
    expect((await readTextFile(file([0xfe, 0xff, 0, 0x68, 0, 0x69]))).text).toBe("hi");
    expect((await readTextFile(file("x", ""))).name).toBe("pasted.txt");
  });

  it.each([
    ["a picture", file([0x89, 0x50, 0x4e, 0x47, 0xd, 0xa, 0x1a, 0xa, 0, 0]), "not text"],
    ["a program", file([0x7f, 0x45, 0x4c, 0x46, 0, 1, 2]), "not text"],
    ["broken UTF-8", file([0x61, 0xff, 0x62]), "not text"],
    ["nothing", file(" \n"), "empty"],
    ["too much", file("x".repeat(256 * 1024 + 1)), "larger than 256 KB"],
  ])("refuses %s", async (_what, given, why) => {
    await expect(readTextFile(given)).rejects.toThrow(why);
  });
});
