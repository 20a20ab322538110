// Where chunks of blobs are kept between visits. A store promises nothing about what it gives back:
// whoever reads checks the hash.

export interface CachedBlob {
  // The blob's SHA-256, lower-case hex.
  location: string;
  // Of the chunks that are there.
  bytes: number;
  // When it was last touched, in milliseconds since 1970; 0 when unknown.
  usedMs: number;
}

export interface ChunkStore {
  // A chunk as it was written, backed by the disk where the platform allows; undefined when it is
  // not there.
  read(location: string, index: number): Promise<Blob | undefined>;
  // Replaces what was there, all or nothing. Rejects when the storage is full.
  write(location: string, index: number, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  // Marks as used now.
  touch(location: string): Promise<void>;
  remove(location: string): Promise<void>;
  list(): Promise<CachedBlob[]>;
}

// A chunk that is open in this Worker; what it reads it copies nowhere else.
export interface SyncChunk {
  // Bytes from `at` on; how many there were, or a number of no meaning after an error.
  read(target: Uint8Array, options: { at: number }): number;
  close(): void;
}

// A blob's name is also a folder's: nothing else may get there.
export function isLocation(name: string): boolean {
  return /^[0-9a-f]{64}$/.test(name);
}
