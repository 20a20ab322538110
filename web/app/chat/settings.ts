// How a conversation is answered: the system prompt and the sampling parameters.

export const numberFields = [
  {
    key: "temperature",
    name: "Temperature",
    help: "0 always takes the likeliest word; higher is more varied.",
    min: 0,
    max: 2,
    step: 0.1,
    field: "temperature",
  },
  {
    key: "topP",
    name: "Top P",
    help: "Only the likeliest words that together have this probability.",
    min: 0,
    max: 1,
    step: 0.05,
    field: "top_p",
  },
  {
    key: "topK",
    name: "Top K",
    help: "Only so many of the likeliest words; 0 is no limit.",
    min: 0,
    max: 1000,
    step: 1,
    field: "top_k",
  },
  {
    key: "minP",
    name: "Min P",
    help: "Only words at least this likely, measured against the likeliest.",
    min: 0,
    max: 1,
    step: 0.01,
    field: "min_p",
  },
  {
    key: "repetitionPenalty",
    name: "Repetition penalty",
    help: "Above 1, words that were used become less likely.",
    min: 0.5,
    max: 2,
    step: 0.05,
    field: "repetition_penalty",
  },
  {
    key: "maxTokens",
    name: "Longest answer, in tokens",
    help: "Empty: as long as the model's context allows.",
    min: 1,
    max: 1_000_000,
    step: 1,
    field: "max_tokens",
  },
  {
    key: "seed",
    name: "Seed",
    help: "The same seed and settings give the same answer again.",
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    step: 1,
    field: "seed",
  },
] as const;

export type NumberKey = (typeof numberFields)[number]["key"];

// null: what the model comes with.
export type Settings = Record<NumberKey, number | null> & { system: string };

export const systemCharsMax = 20_000;

export const defaultSettings: Settings = {
  system: "",
  temperature: null,
  topP: null,
  topK: null,
  minP: null,
  repetitionPenalty: null,
  maxTokens: null,
  seed: null,
};

// Takes what is right of something read from outside; the rest is as the model comes with it.
export function readSettings(value: unknown): Settings {
  const settings = { ...defaultSettings };
  if (typeof value !== "object" || value === null) return settings;
  const given = value as Record<string, unknown>;
  const { system } = given;
  if (typeof system === "string") settings.system = system.slice(0, systemCharsMax);
  for (const { key, min, max, step } of numberFields) {
    const number = given[key];
    if (typeof number !== "number" || !(number >= min && number <= max)) continue;
    if (step >= 1 && !Number.isInteger(number)) continue;
    settings[key] = number;
  }
  return settings;
}

// The fields of a request.
export function requestFields(settings: Settings): Record<string, number> {
  const fields: Record<string, number> = {};
  for (const { key, field } of numberFields) {
    const number = settings[key];
    if (number !== null) fields[field] = number;
  }
  return fields;
}

const storageKey = "shoal-chat-settings";

// What the next new conversation starts with: what was last chosen.
export function lastSettings(storage: Storage | undefined): Settings {
  try {
    return readSettings(JSON.parse(storage?.getItem(storageKey) ?? "null"));
  } catch {
    return { ...defaultSettings };
  }
}

export function rememberSettings(storage: Storage | undefined, settings: Settings): void {
  try {
    storage?.setItem(storageKey, JSON.stringify(settings));
  } catch {
    // Full or forbidden: the conversation itself keeps them.
  }
}
