// Before every file of end-to-end tests: closes, after its last test, the browsers that its tabs
// shared.

import { afterAll } from "vitest";

import { closeSharedBrowsers } from "./browsers.ts";

afterAll(closeSharedBrowsers);
