import type { Lending, LendOptions } from "./types";

export * from "./types";

// Asks for consent and lends this tab. Undefined when the visitor says no.
export declare function lend(options: LendOptions): Promise<Lending | undefined>;
