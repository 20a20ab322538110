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
    reporters: ["default", "./failures_reporter.ts"],
    projects: [
      unit("core"),
      unit("volunteer"),
      unit("app"),
      {
        test: {
          name: "e2e",
          include: ["e2e/**/*_test.ts"],
          environment: "node",
          setupFiles: ["e2e/harness/browsers_setup.ts"],
          // This machine's settings are none of the tests'.
          env: { SHOAL_CONFIG: "/dev/null" },
          // Two files at once take two thirds of the time on two cores: a browser that starts, a
          // timeout or a rest of one is the other's turn. More would only wait for each other.
          maxWorkers: 2,
          testTimeout: 480_000,
          hookTimeout: 240_000,
        },
      },
    ],
  },
});
