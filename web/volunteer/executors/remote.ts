// An executor that lives in a Worker of its own, so that the socket is answered while it computes.

import { ShoalError } from "../../core/index.ts";
import type {
  Executor,
  KvPart,
  LoadedStage,
  RunRequest,
  RunResult,
  Stage,
  StageFiles,
} from "../executor.ts";
import { Caller } from "../rpc.ts";
import type { ExecutorCalls } from "./calls.ts";

export interface RemoteOptions {
  createWorker(): Worker;
  threads: number;
  // The Worker died by itself: its stage and every KV cache are lost. `load` starts another.
  onDeath(error: ShoalError): void;
}

interface Running {
  worker: Worker;
  caller: Caller<ExecutorCalls>;
}

export class RemoteExecutor implements Executor {
  readonly #options: RemoteOptions;
  #running: Running | undefined;

  constructor(options: RemoteOptions) {
    this.#options = options;
  }

  // A new Worker for every stage: a WebAssembly heap never shrinks.
  async load(stage: Stage, files: StageFiles): Promise<LoadedStage> {
    await this.unload();
    const running = this.#start();
    try {
      const { threads } = this.#options;
      return await running.caller.call("load", { stage, files, threads });
    } catch (thrown) {
      await this.unload();
      throw thrown;
    }
  }

  async unload(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    running?.worker.terminate();
    running?.caller.fail(new ShoalError("cancelled", "the stage was unloaded"));
  }

  async open(kv: number, capacity: number): Promise<void> {
    await this.#caller().call("open", { kv, capacity });
  }

  async run(request: RunRequest): Promise<RunResult> {
    try {
      return await this.#caller().call("run", request, [request.input.buffer]);
    } catch (thrown) {
      // Groups fail one by one; a run that fails as a whole means a broken instance.
      const error = ShoalError.from(thrown);
      if (this.#running !== undefined) await this.#die(this.#running, error);
      throw error;
    }
  }

  async rollback(kv: number, length: number): Promise<void> {
    await this.#caller().call("rollback", { kv, length });
  }

  async release(kv: number): Promise<void> {
    await this.#caller().call("release", { kv });
  }

  async exportKv(kv: number, block: number, from: number, to: number): Promise<KvPart> {
    return await this.#caller().call("exportKv", { kv, block, from, to });
  }

  async importKv(kv: number, block: number, part: KvPart): Promise<void> {
    await this.#caller().call("importKv", { kv, block, part });
  }

  async copyKv(from: number, to: number, positions: number): Promise<void> {
    await this.#caller().call("copyKv", { from, to, positions });
  }

  #caller(): Caller<ExecutorCalls> {
    if (this.#running === undefined) {
      throw new ShoalError("failed_precondition", "no stage is loaded");
    }
    return this.#running.caller;
  }

  #start(): Running {
    const worker = this.#options.createWorker();
    const running = { worker, caller: new Caller<ExecutorCalls>(worker) };
    worker.addEventListener("error", (event) => {
      event.preventDefault();
      const detail = event.message || "its script could not be loaded";
      void this.#die(running, new ShoalError("internal", `the executor failed: ${detail}`));
    });
    this.#running = running;
    return running;
  }

  async #die(running: Running, error: ShoalError): Promise<void> {
    running.caller.fail(error);
    if (this.#running !== running) return;
    await this.unload();
    this.#options.onDeath(error);
  }
}
