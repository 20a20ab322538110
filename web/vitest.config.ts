// `npx vitest run --project core --project volunteer --project app`: fast, in node alone.
// `npx vitest run --project e2e`: with the built binary, the built pages and real Chromium.
import { defineConfig } from "vitest/config";

const unit = (name: string) => ({
  test: {
    name,
    include: [`${name}/**/*_test.ts`],
    environment: "node" as const,
    testTimeout: 60_000,
  },
});

export default defineConfig({
  test: {
    projects: [
      unit("core"),
      unit("volunteer"),
      unit("app"),
      {
        test: {
          name: "e2e",
          include: ["e2e/**/*_test.ts"],
          environment: "node",
          // This machine's settings are none of the tests'.
          env: { SHOAL_CONFIG: "/dev/null" },
          // Browsers and coordinators of two files at once would only wait for each other.
          fileParallelism: false,
          testTimeout: 480_000,
          hookTimeout: 240_000,
        },
      },
    ],
  },
});
