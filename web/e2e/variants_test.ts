// Configurations that the golden checkpoints do not have, against a forward pass in float64 that
// shares nothing with Shoal: in float32 through the engine and onnxruntime-node, and in narrower
// weights. SHOAL_TESTS=full: every one in every narrower width, otherwise each in one of them.

import { rmSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";

import { medianError, relativeError } from "./harness/npy.ts";
import { runChain } from "./harness/ort_chain.ts";
import { scratch } from "./harness/paths.ts";
import { ReferenceDecoder } from "./harness/reference/decoder.ts";
import { Gpt2 } from "./harness/reference/gpt2.ts";
import { evalGreedy, evalLogits, pack } from "./harness/shoal.ts";
import { variants } from "./harness/variants.ts";

const ids = [3, 61, 17, 29, 44, 8, 70, 35, 52, 11, 26, 9, 66, 40];

const full = process.env["SHOAL_TESTS"] === "full";
const widths = ["f16", "q8", "q4"] as const;
// Random weights amplify what rounding changes, and now and then it chooses another expert: what
// counts is how far most positions are off.
const narrowTolerance = { f16: 5e-3, q8: 0.1, q4: 0.4 };

describe.each(variants.map((variant, index) => ({ ...variant, index })))(
  "$what",
  ({ config, type, shards, index }) => {
    const name = `variant-${index}`;
    const folder = `${scratch}/${name}`;
    let reference: ReferenceDecoder | Gpt2;
    let expected: Float64Array;

    beforeAll(() => {
      const Reference = config.model_type === "gpt2" ? Gpt2 : ReferenceDecoder;
      reference = new Reference(config, type ?? "BF16", 1000 + index);
      rmSync(folder, { recursive: true, force: true });
      reference.write(folder, shards);
      expected = reference.logits(ids);
    });

    it("gives the reference's logits, and greedy ids over cuts", async () => {
      const packed = await pack(name, folder);
      expect(relativeError(await evalLogits(packed, ids), expected)).toBeLessThan(1e-5);
      // Token by token through the caches, over stages.
      const count = 6;
      const greedy = await evalGreedy(packed, ids, count, [1], "f32");
      const known = [...ids];
      for (let i = 0; i < count; ++i) {
        const last = reference.logits(known).slice(-config.vocab_size);
        known.push(last.indexOf(Math.max(...last)));
      }
      expect(greedy).toEqual(known.slice(ids.length));
    });

    it("gives the same in onnxruntime-node, in pieces", async () => {
      const packed = await pack(name, folder);
      const pieces = [5, 1, 1, ids.length - 7];
      const logits = await runChain(packed, [1], ids, pieces, ids.length);
      expect(relativeError(logits, expected)).toBeLessThan(1e-5);
    });

    it.each(full ? widths : [widths[index % widths.length]!])("runs in %s", async (weights) => {
      const packed = await pack(name, folder, weights);
      const exact = await evalLogits(packed, ids, "--exact");
      const error = medianError(exact, expected, ids.length);
      expect(error).toBeLessThan(narrowTolerance[weights]);
      const theirs = await runChain(packed, [1], ids, [ids.length], ids.length);
      expect(relativeError(theirs, exact)).toBeLessThan(1e-5);
    });
  },
);
