// What an address brings along that the network is not to see, behind its "#": the join secret of
// a private swarm (/lend#secret=...) and a key for the API (/#key=...).

const keyName = "shoal-api-key";

// Undefined where the browser forbids it.
export function ownStorage(): Storage | undefined {
  try {
    return localStorage;
  } catch {
    return undefined;
  }
}

function inFragment(url: URL, name: string): string {
  return new URLSearchParams(url.hash.slice(1)).get(name) ?? "";
}

export function joinSecretOf(url: URL): string {
  return inFragment(url, "secret");
}

// The address's key, which is remembered, or the one remembered before; "" is none.
export function apiKeyOf(url: URL, storage: Storage | undefined): string {
  const given = inFragment(url, "key");
  try {
    if (given === "") return storage?.getItem(keyName) ?? "";
    storage?.setItem(keyName, given);
  } catch {
    // Forbidden or full: the address has it.
  }
  return given;
}
