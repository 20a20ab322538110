// What `lend` takes and gives. Stands alone: the package's type declarations are made of it.

export interface LendLimits {
  // Share of the time that may be worked, 0.1 to 1.
  timeShare: number;
  // Received and sent on one day; Infinity for no limit.
  dataBytesPerDay: number;
  // Minutes after midnight, local time; equal: the whole day.
  fromMinute: number;
  toMinute: number;
  whenHidden: boolean;
  onBattery: boolean;
  onMetered: boolean;
}

export type LendState =
  // Nothing is lent: left, or refused.
  | { kind: "off" }
  // `blocks`: [first, last) of the model's blocks, once they are held.
  | { kind: "lending"; blocks: [number, number] | undefined }
  | { kind: "paused" }
  // A limit says no; it goes on by itself.
  | { kind: "waiting"; why: "hidden" | "battery" | "metered" | "hours" | "data" };

export interface LendOptions {
  // The coordinator: "https://shoal.example". It must allow this page's origin.
  coordinator: string;
  // For weights and conversations together; 256 MB when absent.
  memoryBytes?: number;
  // Those that are absent: half of the time, 1 GB a day, all hours, not on battery, not on a
  // metered network, also while hidden.
  limits?: Partial<LendLimits>;
  // Asks the visitor; when absent, a dialog of ours does, in plain words, and remembers a yes.
  consent?: () => boolean | Promise<boolean>;
  // Of a private swarm.
  joinSecret?: string;
  onState?: (state: LendState) => void;
  onProblem?: (detail: string) => void;
}

export interface Lending {
  pause(): void;
  resume(): void;
  leave(): void;
}
