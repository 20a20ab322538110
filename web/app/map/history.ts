// /status/history.json: how the swarm did over the last hour and the last day.

export interface Sample {
  // Unix seconds.
  t: number;
  tokensPerSecond: number;
  volunteers: number;
  // From 0 to 1.
  available: number;
}

export interface Series {
  periodSeconds: number;
  samples: Sample[];
}

const samplesMax = 10_000;

// Throws when it is no history; leaves out what is odd.
export function parseHistory(json: unknown): Series[] {
  const list = (json as { series?: unknown } | null)?.series;
  if (!Array.isArray(list)) throw new Error("the coordinator's history has an unknown form");
  return list.flatMap((series: unknown) => {
    const { period_s: period, columns, samples } = (series ?? {}) as Record<string, unknown>;
    if (typeof period !== "number" || period <= 0) return [];
    if (!Array.isArray(columns) || !Array.isArray(samples)) return [];
    const at = (name: string): number => columns.indexOf(name);
    const [t, speed, volunteers, available] = [
      at("t"),
      at("tokens_per_second"),
      at("volunteers"),
      at("available"),
    ];
    const rows = samples.slice(-samplesMax).flatMap((row: unknown) => {
      if (!Array.isArray(row)) return [];
      const numbers = [t, speed, volunteers, available].map((index) => row[index] as unknown);
      if (!numbers.every((value) => typeof value === "number" && value >= 0)) return [];
      const [when, tokensPerSecond, count, share] = numbers as [number, number, number, number];
      const ok = Math.min(1, share);
      return [{ t: when, tokensPerSecond, volunteers: count, available: ok }];
    });
    return [{ periodSeconds: period, samples: rows }];
  });
}

export async function askHistory(): Promise<Series[] | undefined> {
  try {
    const signal = AbortSignal.timeout(5000);
    const response = await fetch("/status/history.json", { cache: "no-store", signal });
    return response.ok ? parseHistory(await response.json()) : undefined;
  } catch {
    return undefined;
  }
}

// Runs of samples without a gap: a line is drawn through each.
export function runsOf({ periodSeconds, samples }: Series): Sample[][] {
  const runs: Sample[][] = [];
  for (const sample of samples) {
    const last = runs.at(-1)?.at(-1);
    if (last !== undefined && sample.t - last.t <= periodSeconds * 2.5) runs.at(-1)!.push(sample);
    else runs.push([sample]);
  }
  return runs;
}

// A round number above the largest value, for the top of a chart.
export function niceTop(max: number): number {
  if (!(max > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(max));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= max)!;
  return step * power;
}
