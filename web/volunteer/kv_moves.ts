// KV caches on the move: to another volunteer as kv-import frames, from one, or from session to
// session here. Each runs in its turn, after what was queued before it.

import {
  ShoalError,
  type Bodies,
  type Core,
  type KvExport,
  type KvImport,
  type KvSlot,
} from "../core/index.ts";
import type { Executor, KvPart } from "./executor.ts";
import type { Session } from "./sessions.ts";

// An executor, or those of a stage's parts together.
export type KvExecutor = Pick<Executor, "exportKv" | "importKv" | "copyKv">;
export type SendKv = (body: Bodies["kv-import"], target: number) => void;

// Sends what a kv-export frame asks for: a frame for each block that keeps KV.
export async function exportKv(
  executor: KvExecutor,
  slots: readonly KvSlot[],
  session: Session,
  request: KvExport,
  send: SendKv,
): Promise<void> {
  const { first, last, from, to, target } = request;
  if (to > session.length) {
    throw new ShoalError(
      "out_of_range",
      `KV up to position ${to} was asked for, ${session.length} positions are held`,
    );
  }
  for (const { block } of slots) {
    if (block < first || block >= last) continue;
    const { keys, values } = await executor.exportKv(session.kv, block, from, to);
    const payload = new Uint8Array(keys.byteLength + values.byteLength);
    payload.set(new Uint8Array(keys.buffer, keys.byteOffset, keys.byteLength));
    const after = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    payload.set(after, keys.byteLength);
    const { session: id, epoch } = request;
    send({ session: id, epoch, block, from, to, type: "f32", payload }, target);
  }
}

// Takes one block's part. The session grows once all blocks of the range have come.
export async function importKv(
  core: Core,
  executor: KvExecutor,
  slots: readonly KvSlot[],
  session: Session,
  frame: KvImport,
): Promise<void> {
  const { block, from, to } = frame;
  const slot = slots.find((each) => each.block === block);
  if (slot === undefined) {
    throw new ShoalError("invalid_argument", `block ${block} has no KV cache here`);
  }
  if (from !== session.length || to > session.capacity) {
    throw new ShoalError(
      "out_of_range",
      `KV of positions ${from} to ${to} came, ${session.length} of ${session.capacity} are held`,
    );
  }
  const part = partOf(core, frame, slot);
  const { incoming } = session;
  if (incoming === undefined || incoming.from !== from || incoming.to !== to) {
    session.incoming = { from, to, blocks: new Set() };
  }
  await executor.importKv(session.kv, block, part);
  session.incoming!.blocks.add(block);
  if (session.incoming!.blocks.size < slots.length) return;
  session.incoming = undefined;
  session.length = to;
}

// The first `positions` positions of `source` become the session's KV.
export async function copyKv(
  executor: KvExecutor,
  session: Session,
  source: Session,
  positions: number,
): Promise<void> {
  if (positions > Math.min(source.length, session.capacity)) {
    throw new ShoalError(
      "out_of_range",
      `${positions} positions are to be copied, the source holds ${source.length}, the session ` +
        `has room for ${session.capacity}`,
    );
  }
  await executor.copyKv(source.kv, session.kv, positions);
  session.length = positions;
}

// For executors that have no shorter way.
export async function copyByParts(
  executor: Pick<Executor, "rollback" | "exportKv" | "importKv">,
  slots: readonly KvSlot[],
  from: number,
  to: number,
  positions: number,
): Promise<void> {
  await executor.rollback(to, 0);
  for (const { block } of slots) {
    await executor.importKv(to, block, await executor.exportKv(from, block, 0, positions));
  }
}

function partOf(
  core: Core,
  { block, from, to, type, payload }: KvImport,
  slot: KvSlot,
): KvPart {
  const count = slot.heads * slot.head_size * (to - from);
  const bytes = type === "f16" ? 2 : 4;
  if (payload.length !== 2 * count * bytes) {
    throw new ShoalError(
      "invalid_argument",
      `KV of ${to - from} positions of block ${block} takes ${2 * count * bytes} bytes, not ` +
        `${payload.length}`,
    );
  }
  const { buffer } = payload.slice();
  const values = type === "f16" ? core.f16ToF32(new Uint16Array(buffer)) : new Float32Array(buffer);
  if (!values.every(Number.isFinite)) {
    throw new ShoalError("invalid_argument", `KV of block ${block} has values that are not finite`);
  }
  return { from, to, keys: values.slice(0, count), values: values.slice(count) };
}
