// The commands of the documents: fenced blocks of language `sh`, in order.
//
//   <!-- not run: WHY -->     above a block: it is not run here
//   <!-- after: COMMAND -->   above a block: runs before it, and is no part of what people read
//   <!-- file: NAME -->       above any block: what it says is in that file

import { readdirSync, readFileSync } from "node:fs";

import { root } from "./paths.ts";

export interface Step {
  line: number;
  // A command, which may go over several lines; or a file that has to be there.
  command?: string;
  file?: { name: string; text: string };
}

export interface Doc {
  name: string;
  text: string;
  steps: Step[];
  notRun: { line: number; why: string }[];
  // Lines of blocks without a language that look like commands.
  hidden: number[];
}

const looksLikeCommand = /^\$? ?(shoal|scripts\/|build\/|curl|npm|npx|cmake|ctest|docker) ?/;
const marked = /^<!-- (not run|after|file): (.+) -->$/;

// `lines` of one block as commands: backslashes at an end go on, `#` begins a comment.
function commands(lines: string[], first: number): Step[] {
  const steps: Step[] = [];
  let command = "";
  lines.forEach((line, at) => {
    const isWhole = !line.endsWith("\\");
    command += `${line}\n`;
    if (!isWhole) return;
    const trimmed = command.trim();
    if (trimmed !== "" && !trimmed.startsWith("#")) {
      steps.push({ line: first + at, command: trimmed });
    }
    command = "";
  });
  return steps;
}

export function readDoc(name: string): Doc {
  const text = readFileSync(`${root}${name}`, "utf8");
  const doc: Doc = { name, text, steps: [], notRun: [], hidden: [] };
  const lines = text.split("\n");
  for (let at = 0; at < lines.length; ++at) {
    const language = /^```(\w*)$/.exec(lines[at]!)?.[1];
    if (language === undefined) continue;
    const end = lines.indexOf("```", at + 1);
    if (end === -1) throw new Error(`${name}:${at + 1}: the block has no end`);
    const body = lines.slice(at + 1, end);
    const [, marker, rest] = marked.exec(lines[at - 1] ?? "") ?? [];
    if (marker === "file") {
      doc.steps.push({ line: at + 1, file: { name: rest!, text: `${body.join("\n")}\n` } });
    } else if (marker === "not run") {
      doc.notRun.push({ line: at + 1, why: rest! });
    } else if (language === "sh") {
      if (marker === "after") doc.steps.push({ line: at, command: rest! });
      doc.steps.push(...commands(body, at + 2));
    } else if (language === "" && body.some((line) => looksLikeCommand.test(line))) {
      doc.hidden.push(at + 1);
    }
    at = end;
  }
  return doc;
}

// Every document for people, by its path in the repository.
export function everyDoc(): string[] {
  const docs = (readdirSync(`${root}docs`, { recursive: true }) as string[])
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`);
  return ["README.md", "CONTRIBUTING.md", "web/package/README.md", ...docs.toSorted()];
}
