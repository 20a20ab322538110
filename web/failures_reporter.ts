// Says at the very end of a test run, in a line each, what failed and why: the beginning of a long
// log is easily lost.

import type { Reporter, TestModule } from "vitest/node";

const lengthMax = 600;

export default class FailuresReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    for (const module of modules) {
      const say = (name: string, errors: readonly { message: string }[]): void => {
        for (const { message } of errors) {
          const line = `failed: ${module.relativeModuleId}: ${name}: ${message}`;
          console.log(line.replaceAll(/\s+/g, " ").slice(0, lengthMax));
        }
      };
      say("the file", module.errors());
      for (const suite of module.children.allSuites()) say(suite.fullName, suite.errors());
      for (const test of module.children.allTests("failed")) {
        say(test.fullName, test.result().errors ?? []);
      }
    }
  }
}
