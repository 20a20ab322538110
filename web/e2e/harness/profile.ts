// The profile of a browser that has just ended: helper processes of it outlive the first one by
// moments, and may still write there.

import { rmSync } from "node:fs";

import { until } from "./wait.ts";

const helpersMs = 20_000;

export async function removeProfile(folder: string): Promise<void> {
  await until(`the last process to leave ${folder}`, helpersMs, () => {
    try {
      rmSync(folder, { recursive: true, force: true });
      return true;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENOTEMPTY" || code === "EBUSY") return false;
      throw error;
    }
  });
}
