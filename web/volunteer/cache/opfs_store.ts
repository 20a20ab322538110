// Chunks in the origin private file system: blobs/<sha256>/<index>, and a file `used` whose date
// says when the blob was last wanted. A chunk is written to a file of another name, which gets its
// own when it is complete: it is there whole or not at all, also when two tabs write it.

import { chunkBytes } from "../blobs.ts";
import { isLocation, type CachedBlob, type ChunkStore, type SyncChunk } from "./chunk_store.ts";

const folderName = "blobs";
const usedName = "used";

// What only Workers have. Nothing is copied by it, while createWritable keeps a copy of what it is
// given, and FileReaderSync of what it has read, until that is collected.
interface SyncHandle extends SyncChunk {
  write(bytes: Uint8Array<ArrayBuffer>): number;
  flush(): void;
}
interface WorkersHandle extends FileSystemFileHandle {
  createSyncAccessHandle(options?: { mode: "read-only" }): Promise<SyncHandle>;
  move(name: string): Promise<void>;
}

export class OpfsStore implements ChunkStore {
  readonly #blobs: FileSystemDirectoryHandle;

  // `root`: of navigator.storage.getDirectory().
  static async open(root: FileSystemDirectoryHandle): Promise<OpfsStore> {
    return new OpfsStore(await root.getDirectoryHandle(folderName, { create: true }));
  }

  private constructor(blobs: FileSystemDirectoryHandle) {
    this.#blobs = blobs;
  }

  async read(location: string, index: number): Promise<Blob | undefined> {
    const folder = await ifThere(this.#blobs.getDirectoryHandle(location));
    const handle = folder && (await ifThere(folder.getFileHandle(`${index}`)));
    return handle && (await ifThere(handle.getFile()));
  }

  async write(location: string, index: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const folder = await this.#folder(location);
    const name = `${index}.${crypto.randomUUID()}`;
    const handle = (await folder.getFileHandle(name, { create: true })) as WorkersHandle;
    try {
      const access = await handle.createSyncAccessHandle();
      try {
        // Where the quota does not suffice, Chromium gives 2^32 - 8 and writes a part.
        if (access.write(bytes) !== bytes.length) throw new Error("no room in the storage");
        access.flush();
      } finally {
        access.close();
      }
      await ifThere(folder.removeEntry(`${index}`));
      await handle.move(`${index}`);
    } catch (thrown) {
      await folder.removeEntry(name).catch(() => {});
      throw thrown;
    }
  }

  async touch(location: string): Promise<void> {
    const folder = await this.#folder(location);
    const handle = await folder.getFileHandle(usedName, { create: true });
    await (await handle.createWritable()).close();
  }

  async remove(location: string): Promise<void> {
    await ifThere(this.#blobs.removeEntry(location, { recursive: true }));
  }

  async list(): Promise<CachedBlob[]> {
    const found: CachedBlob[] = [];
    for await (const [location, handle] of this.#blobs.entries()) {
      if (!isLocation(location) || handle.kind !== "directory") continue;
      const blob = { location, bytes: 0, usedMs: 0 };
      for await (const [name, entry] of (handle as FileSystemDirectoryHandle).entries()) {
        const file = await ifThere((entry as FileSystemFileHandle).getFile());
        if (file === undefined) continue;
        if (name === usedName) blob.usedMs = file.lastModified;
        else blob.bytes += file.size;
      }
      found.push(blob);
    }
    return found;
  }

  async #folder(location: string): Promise<FileSystemDirectoryHandle> {
    return await this.#blobs.getDirectoryHandle(location, { create: true });
  }
}

// All chunks of a blob of so many bytes, in a Worker; none where one is missing, or where another
// tab has it open and the browser does not let two read.
export async function openChunks(location: string, bytes: number): Promise<SyncChunk[]> {
  const chunks: SyncChunk[] = [];
  try {
    const root = await navigator.storage.getDirectory();
    const folder = await (await root.getDirectoryHandle(folderName)).getDirectoryHandle(location);
    for (let index = 0; index * chunkBytes < bytes; ++index) {
      const handle = (await folder.getFileHandle(`${index}`)) as WorkersHandle;
      chunks.push(await handle.createSyncAccessHandle({ mode: "read-only" }));
    }
    return chunks;
  } catch {
    for (const chunk of chunks) chunk.close();
    return [];
  }
}

// Undefined for what another tab has removed meanwhile.
async function ifThere<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise;
  } catch (thrown) {
    if (thrown instanceof DOMException && thrown.name === "NotFoundError") return undefined;
    throw thrown;
  }
}
