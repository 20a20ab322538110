// A report: report.md in the experiment's folder, with its plots beside it.
import {execFileSync} from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import {root} from '../../bench/swarm/swarm.mjs';
import {lineChart} from './plot.mjs';

// Markdown of rows that are objects with the same keys, in order.
export function table(rows) {
  const columns = Object.keys(rows[0]);
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [line(columns), line(columns.map(() => '---')),
    ...rows.map((row) => line(columns.map((column) => row[column])))].join('\n');
}

export class Report {
  #folder;
  #parts = [];

  // `folder`: where run.mjs lies.
  constructor(folder, title) {
    this.#folder = folder;
    this.#parts.push(`# ${title}`);
  }

  say(...paragraphs) {
    this.#parts.push(...paragraphs);
  }
  table(rows) {
    this.#parts.push(table(rows));
  }
  plot(name, chart) {
    fs.writeFileSync(path.join(this.#folder, `${name}.svg`), lineChart(chart));
    this.#parts.push(`![${chart.title}](${name}.svg)`);
  }

  // Says what it was measured on, and writes it all.
  write() {
    const commit = execFileSync('git', ['describe', '--always', '--dirty', '--exclude', '*'],
        {cwd: root, encoding: 'utf8'}).trim();
    const command = path.relative(root, path.join(this.#folder, 'run.mjs'));
    this.say(`Made by \`node ${command}\` at commit ${commit}: ${os.cpus().length} cores ` +
             `(${os.cpus()[0].model.trim()}), ${Math.round(os.totalmem() / 2 ** 30)} GiB, load ` +
             `${os.loadavg()[1].toFixed(1)} over the last five minutes.`);
    const file = path.join(this.#folder, 'report.md');
    fs.writeFileSync(file, this.#parts.join('\n\n') + '\n');
    console.log(`wrote ${path.relative(process.cwd(), file)}`);
  }
}
