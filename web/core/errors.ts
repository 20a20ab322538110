// Expected failures, with the codes that C++ (src/base/result.h) and error frames use.

// Values are part of the wire protocol (docs/protocol.md): never renumber.
export const errorCodes = {
  invalid_argument: 1,
  not_found: 2,
  already_exists: 3,
  failed_precondition: 4,
  out_of_range: 5,
  unimplemented: 6,
  unavailable: 7,
  deadline_exceeded: 8,
  resource_exhausted: 9,
  data_loss: 10,
  stale_epoch: 11,
  permission_denied: 12,
  cancelled: 13,
  internal: 14,
} as const;

export type ErrorCode = keyof typeof errorCodes;

const namesByNumber = new Map<number, ErrorCode>(
  (Object.entries(errorCodes) as [ErrorCode, number][]).map(([name, value]) => [value, name]),
);

// The name of a code's number; undefined for a number that is no code.
export function errorCodeName(value: number): ErrorCode | undefined {
  return namesByNumber.get(value);
}

// What Shoal's own functions throw. `detail` is one sentence for a person.
export class ShoalError extends Error {
  readonly code: ErrorCode;
  readonly detail: string;

  constructor(code: ErrorCode, detail: string, options?: ErrorOptions) {
    super(`${code}: ${detail}`, options);
    this.name = "ShoalError";
    this.code = code;
    this.detail = detail;
  }

  // Anything thrown, as a ShoalError: foreign errors become `code`.
  static from(thrown: unknown, code: ErrorCode = "internal"): ShoalError {
    if (thrown instanceof ShoalError) return thrown;
    const detail = thrown instanceof Error ? thrown.message : String(thrown);
    return new ShoalError(code, detail, { cause: thrown });
  }
}
