// Every command of the documents, run as it stands there: in an empty folder with the repository's
// models and tests beside it, in a network of its own, in which the usual port is free.

import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { everyDoc, readDoc, type Step } from "./harness/documents.ts";
import { Namespace } from "./harness/namespace.ts";
import { binary, dist, root } from "./harness/paths.ts";

const whyNot = Namespace.whyNot();
if (whyNot !== undefined) console.warn(`the documents' commands are not run: ${whyNot}`);

const docs = everyDoc().map(readDoc);
const limitMs = 200_000;

// Servers run beside what comes after them; another one takes the place of the one before.
const prelude = `
set -euo pipefail
trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT
serving=
# Waits until the rest of its arguments is true, while the process $1 lives.
until_true() {
  local pid=$1
  shift
  for _ in $(seq 600); do
    if "$@"; then return; fi
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  echo "never: $*"
  cat *.log
  exit 1
}
serve() {
  if [ -n "$serving" ]; then kill "$serving"; wait "$serving" || true; fi
  "$@" >serve.log 2>&1 & serving=$!
  until_true $serving grep -q 'listening on' serve.log
}
is_ready() { shoal status >status.log 2>&1; }
joined=
join() { "$@" >join.log 2>&1 & joined=$!; until_true $joined grep -q joined join.log; }
# What comes after those who joined finds a swarm that answers.
settle() { if [ -n "$joined" ]; then until_true $joined is_ready; joined=; fi; }
link() { "$@" >link.log 2>&1 & until_true $! grep -q 'listening on' link.log; }
`;

function lineOf({ command, file, line }: Step): string {
  if (file !== undefined) return `cat >${file.name} <<'END OF FILE'\n${file.text}END OF FILE`;
  const told = `echo ":${line}"`;
  if (command!.startsWith("shoal serve ")) {
    const waits = command!.includes("--lend ") ? "\nuntil_true $serving is_ready" : "";
    return `${told}\nserve ${command}${waits}`;
  }
  const beside = /^shoal (join|link) /.exec(command!)?.[1];
  return beside !== undefined ? `${told}\n${beside} ${command}` : `${told}\nsettle\n${command}`;
}

describe.skipIf(whyNot !== undefined)("the commands of", () => {
  let namespace: Namespace;
  beforeAll(() => {
    namespace = Namespace.open();
  });
  afterAll(() => namespace.close());

  it.each(docs.filter(({ steps }) => steps.some(({ command }) => command !== undefined)))(
    "$name",
    ({ steps }) => {
      const folder = mkdtempSync(join(tmpdir(), "shoal-docs-"));
      mkdirSync(`${folder}/bin`);
      symlinkSync(binary, `${folder}/bin/shoal`);
      for (const name of ["models", "tests"]) symlinkSync(`${root}${name}`, `${folder}/${name}`);
      writeFileSync(`${folder}/run.sh`, `${prelude}${steps.map(lineOf).join("\n")}\nsettle\n`);
      const env = {
        PATH: `${folder}/bin:${process.env["PATH"]}`,
        HOME: folder,
        SHOAL_CONFIG: "/dev/null",
        SHOAL_PAGES: dist,
      };
      const [program, ...rest] = [...namespace.wrapper, "bash", "run.sh"];
      const ran = spawnSync(program!, rest, { cwd: folder, env, timeout: limitMs, input: "" });
      const said = `${ran.stdout}${ran.stderr}`;
      rmSync(folder, { recursive: true, force: true });
      expect(ran.status, said).toBe(0);
    },
  );
});

describe("what the documents say", () => {
  it("marks every block of commands as such", () => {
    for (const { name, hidden } of docs) expect(hidden, name).toEqual([]);
  });

  it("leaves few blocks unrun", () => {
    const all = docs.flatMap(({ notRun }) => notRun);
    expect(all.length).toBeLessThan(10);
    expect(docs.flatMap(({ steps }) => steps).length).toBeGreaterThan(15);
  });

  it("names only flags that there are", () => {
    const page = execFileSync(binary, ["man"], { encoding: "utf8" }).replaceAll("\\-", "-");
    const flags = new Set([...page.matchAll(/\\fB(--?[a-z0-9-]+)\\fR/g)].map(([, flag]) => flag));
    expect(flags.size).toBeGreaterThan(50);
    for (const { name, text } of docs) {
      for (const [, code] of text.matchAll(/`((?:build\/release\/)?shoal [^`]*)`/g)) {
        for (const [flag] of code!.matchAll(/(?<= )--[a-z][a-z0-9-]*/g)) {
          expect(flags, `${name}: ${code}`).toContain(flag);
        }
      }
    }
  });
});
