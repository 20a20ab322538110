// The Worker of one more thread of the engine.

import type { Port } from "../rpc.ts";
import { serveThread } from "./shoal_thread.ts";

serveThread(self as unknown as Port);
