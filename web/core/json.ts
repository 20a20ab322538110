// Between typed frames and the JSON form that the C++ core reads and writes (src/wire/json.h):
// which fields are more than their JSON value. The names are unique over all frames.

import { errorCodeName, errorCodes, ShoalError } from "./errors.ts";
import type { ErrorCode } from "./errors.ts";
import type { Frame, FrameOf, Sampling } from "./frames.ts";

// u64 identifiers: bigint here, decimal strings there.
const bigintFields = new Set(["session", "source", "seed", "nonce", "request"]);
// u64 counts: number here, decimal strings there.
const countFields = new Set([
  "memory_bytes",
  "bytes",
  "bytes_done",
  "bytes_total",
  "bytes_fetched",
  "queue_us",
  "compute_us",
  "encode_us",
  "bytes_in",
  "bytes_out",
  "requests",
  "rows_done",
]);
// Byte strings other than payloads: Uint8Array here, hex there.
const byteFields = new Set(["mask"]);

const utf8 = new TextEncoder();
// As long as a string on the wire may be.
const stringBytes = new Uint8Array(4096);

// For JSON.stringify.
function toWireValue(key: string, value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (countFields.has(key)) {
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
      throw new ShoalError("invalid_argument", `${key}: ${String(value)} is no count`);
    }
    return String(value);
  }
  if (byteFields.has(key)) {
    if (!(value instanceof Uint8Array)) {
      throw new ShoalError("invalid_argument", `${key}: not a Uint8Array`);
    }
    return toHex(value);
  }
  if (key === "code") return errorCodes[value as ErrorCode];
  if (typeof value === "string") return mended(value);
  return value;
}

// A string as the native encoder makes it fit: well-formed, and cut, because long ones are text for
// people.
function mended(text: string): string {
  const formed = text.toWellFormed();
  if (formed.length <= stringBytes.length / 3) return formed;
  return formed.slice(0, utf8.encodeInto(formed, stringBytes).read);
}

// For JSON.parse.
function fromWireValue(key: string, value: unknown): unknown {
  if (bigintFields.has(key)) return BigInt(value as string);
  if (countFields.has(key)) {
    const count = Number(value);
    if (!Number.isSafeInteger(count)) {
      throw new ShoalError("out_of_range", `${key}: ${String(value)} is over 2^53 - 1`);
    }
    return count;
  }
  if (byteFields.has(key)) return fromHex(value as string);
  if (key === "code") return errorCodeName(value as number);
  return value;
}

export interface WireText {
  json: string;
  payload: Uint8Array;
}

const noPayload = new Uint8Array(0);

type FrameWithPayload = FrameOf<"step" | "kv-import" | "expert-rows" | "expert-sums">;

function hasPayload(frame: Frame): frame is FrameWithPayload {
  const { kind } = frame;
  return (
    kind === "step" || kind === "kv-import" || kind === "expert-rows" || kind === "expert-sums"
  );
}

// A frame's JSON with "payload_bytes", and the payload itself.
export function frameToWire(frame: Frame): WireText {
  if (!hasPayload(frame)) {
    return { json: JSON.stringify(frame, toWireValue), payload: noPayload };
  }
  const { payload, ...fields } = frame.body;
  if (!(payload instanceof Uint8Array)) {
    throw new ShoalError("invalid_argument", `${frame.kind}.payload: not a Uint8Array`);
  }
  const body = { ...fields, payload_bytes: payload.byteLength };
  return { json: JSON.stringify({ ...frame, body }, toWireValue), payload };
}

// The inverse of frameToWire; `payload` becomes part of the frame as it is.
export function frameFromWire(json: string, payload: Uint8Array): Frame {
  const frame = JSON.parse(json, fromWireValue) as Frame;
  if (hasPayload(frame)) {
    const body = frame.body as typeof frame.body & { payload_bytes?: number };
    delete body.payload_bytes;
    body.payload = payload;
  }
  return frame;
}

export function samplingToWire(sampling: Sampling): string {
  return JSON.stringify(sampling, toWireValue);
}

// Lower-case hexadecimal.
export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}

// `text` is hexadecimal, an even number of digits.
export function fromHex(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; ++i) {
    bytes[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16);
  }
  return bytes;
}
