// One step's rows at one layer whose experts lie on other volunteers: who is asked for what, and
// what the answers add up to. As src/volunteer/expert_exchange.h; the caller sends and receives.

import {
  ShoalError,
  type Core,
  type ExpertChoice,
  type ExpertHolder,
  type ExpertRefusal,
  type ExpertRows,
  type ExpertSums,
  type ExpertTable,
  type HopType,
} from "../core/index.ts";

export interface ExchangeShape {
  block: number;
  hidden: number;
  // Of the layer.
  experts: number;
}

export interface ExpertRequest {
  to: number;
  rows: ExpertRows;
}

interface Group {
  holder: ExpertHolder;
  state: "wanted" | "asked" | "answered";
  // "node generation" that refused: not to be asked again.
  refused?: string;
}

interface OpenRequest {
  node: number;
  holder: string;
  groups: number[];
  rows: number[];
  type: HopType;
}

interface Answer {
  firstGroup: number;
  rows: number[];
  values: Float32Array;
}

// Refusals after which somebody else may be asked.
const passing: ReadonlySet<string> = new Set([
  "failed_precondition",
  "not_found",
  "unavailable",
  "resource_exhausted",
]);

const nameOf = ({ node, generation }: ExpertHolder): string => `${node} ${generation}`;

export function encodeFloats(core: Core, values: Float32Array, type: HopType): Uint8Array {
  const encoded = type === "f16" ? core.f32ToF16(values as Float32Array<ArrayBuffer>) : values;
  return new Uint8Array(encoded.buffer, encoded.byteOffset, encoded.byteLength);
}

export function decodeFloats(
  core: Core,
  payload: Uint8Array,
  type: HopType,
): Float32Array<ArrayBuffer> {
  // A copy, so that the offset suits every element type.
  const { buffer } = payload.slice();
  return type === "f16" ? core.f16ToF32(new Uint16Array(buffer)) : new Float32Array(buffer);
}

export class ExpertExchange {
  readonly shape: ExchangeShape;
  readonly routed: Float32Array<ArrayBuffer>;
  readonly #core: Core;
  // Of each row, ascending experts.
  readonly #choices: { expert: number; weight: number }[][] = [];
  // Those that a row chose.
  readonly #groups = new Map<number, Group>();
  readonly #open = new Map<bigint, OpenRequest>();
  readonly #answers: Answer[] = [];
  #hasTable = false;
  // What makes the exchange fail.
  error: ShoalError | undefined;

  // `routed` [rows, hidden], `routes` [rows, experts].
  constructor(
    core: Core,
    shape: ExchangeShape,
    routed: Float32Array<ArrayBuffer>,
    routes: Float32Array,
  ) {
    this.#core = core;
    this.shape = shape;
    this.routed = routed;
    for (let at = 0; at < routes.length; at += shape.experts) {
      const row: { expert: number; weight: number }[] = [];
      for (let expert = 0; expert < shape.experts; ++expert) {
        const weight = routes[at + expert]!;
        if (weight !== 0) row.push({ expert, weight });
      }
      this.#choices.push(row);
    }
  }

  get isDone(): boolean {
    const all = [...this.#groups.values()];
    return this.#hasTable && this.error === undefined && all.every((g) => g.state === "answered");
  }

  // What is still missing, for a person.
  get missing(): string {
    const of = (state: Group["state"]): number =>
      [...this.#groups.values()].filter((group) => group.state === state).length;
    return (
      `of the experts of block ${this.shape.block} ${of("wanted")} groups have no holder and ` +
      `${of("asked")} have not answered`
    );
  }

  // Gives up requests that the table sends elsewhere, and makes new ones for every group that is
  // wanted, held and not asked for.
  ask(table: ExpertTable, nextRequest: () => bigint): ExpertRequest[] {
    this.#take(table.holders.filter(({ block }) => block === this.shape.block));
    for (const [request, { groups, holder }] of this.#open) {
      const stays = groups.every((group) => nameOf(this.#groups.get(group)!.holder) === holder);
      if (!stays) this.#reopen(request);
    }
    const byHolder = new Map<string, number[]>();
    for (const [index, { holder, state, refused }] of this.#groups) {
      const name = nameOf(holder);
      if (state !== "wanted" || holder.node === 0 || refused === name) continue;
      byHolder.set(name, [...(byHolder.get(name) ?? []), index]);
    }
    return [...byHolder.values()].map((groups) => this.#make(groups, table.hop, nextRequest()));
  }

  // Whether the answer belongs to a request of this exchange; anything else changes nothing.
  onSums(from: number, sums: ExpertSums): boolean {
    const open = this.#open.get(sums.request);
    if (open === undefined || open.node !== from) return false;
    const fits =
      sums.type === open.type &&
      sums.rows === open.rows.length &&
      sums.width === this.shape.hidden;
    const values = fits ? decodeFloats(this.#core, sums.payload, sums.type) : new Float32Array(0);
    if (!fits || !this.#core.allFinite(values)) {
      this.error = new ShoalError(
        "data_loss",
        `node ${from} gave sums for experts of block ${this.shape.block} that are not what was ` +
          "asked for",
      );
    }
    for (const group of open.groups) this.#groups.get(group)!.state = "answered";
    this.#answers.push({ firstGroup: open.groups[0]!, rows: open.rows, values });
    this.#open.delete(sums.request);
    return true;
  }

  onRefusal(from: number, { request, code, detail }: ExpertRefusal): boolean {
    const open = this.#open.get(request);
    if (open === undefined || open.node !== from) return false;
    for (const group of open.groups) this.#groups.get(group)!.refused = open.holder;
    if (!passing.has(code)) {
      const of = `rows for experts of block ${this.shape.block}`;
      this.error = new ShoalError(code, `node ${from} refused ${of}: ${detail}`);
    }
    this.#reopen(request);
    return true;
  }

  // [rows, hidden]: parts are added up in the order of their groups, whenever they came.
  sum(): Float32Array<ArrayBuffer> {
    const { hidden } = this.shape;
    const sum = new Float32Array(this.routed.length);
    for (const { rows, values } of this.#answers.sort((a, b) => a.firstGroup - b.firstGroup)) {
      for (const [index, row] of rows.entries()) {
        for (let i = 0; i < hidden; ++i) sum[row * hidden + i]! += values[index * hidden + i]!;
      }
    }
    return sum;
  }

  // Finds out which groups are wanted; later tables must have the same ones.
  #take(holders: readonly ExpertHolder[]): void {
    const { block, experts } = this.shape;
    const last = holders.at(-1);
    if (last === undefined || last.first + last.count !== experts) {
      throw new ShoalError(
        "invalid_argument",
        `the table's groups of block ${block} are not its ${experts} experts`,
      );
    }
    for (const holder of holders) {
      const { group, first, count } = holder;
      const known = this.#groups.get(group);
      if (known !== undefined) {
        if (known.holder.first !== first || known.holder.count !== count) {
          throw new ShoalError("invalid_argument", `the groups of block ${block} changed`);
        }
        known.holder = holder;
      } else if (!this.#hasTable && this.#isChosen(holder)) {
        this.#groups.set(group, { holder, state: "wanted" });
      }
    }
    this.#hasTable = true;
  }

  #isChosen({ first, count }: ExpertHolder): boolean {
    return this.#choices.some((row) =>
      row.some(({ expert }) => expert >= first && expert < first + count),
    );
  }

  #make(groups: number[], type: HopType, request: bigint): ExpertRequest {
    const { block, hidden } = this.shape;
    const ranges = groups.map((group) => this.#groups.get(group)!.holder);
    const { node, generation } = ranges[0]!;
    const rows: number[] = [];
    const choices: ExpertChoice[] = [];
    for (const [row, all] of this.#choices.entries()) {
      const here = all.filter(({ expert }) =>
        ranges.some(({ first, count }) => expert >= first && expert < first + count),
      );
      if (here.length === 0) continue;
      choices.push(...here.map((choice) => ({ row: rows.length, ...choice })));
      rows.push(row);
    }
    const values = new Float32Array(rows.length * hidden);
    for (const [index, row] of rows.entries()) {
      values.set(this.routed.subarray(row * hidden, (row + 1) * hidden), index * hidden);
    }
    for (const group of groups) this.#groups.get(group)!.state = "asked";
    this.#open.set(request, { node, holder: nameOf(ranges[0]!), groups, rows, type });
    const payload = encodeFloats(this.#core, values, type);
    const body = { request, generation, block, type, rows: rows.length, width: hidden };
    return { to: node, rows: { ...body, choices, payload } };
  }

  #reopen(request: bigint): void {
    for (const group of this.#open.get(request)!.groups) this.#groups.get(group)!.state = "wanted";
    this.#open.delete(request);
  }
}
