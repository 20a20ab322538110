// Unit tests in node: `npx vitest run` all of them, `npx vitest run core` one folder's.
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["{core,volunteer,app}/**/*_test.ts"],
    environment: "node",
    testTimeout: 60_000,
  },
});
