// How many threads a tab may compute with, and how many it takes unless its owner says.

const threadsMax = 8;

// Only an isolated page can share memory between threads.
export function threadsOffered(cores: number, isIsolated: boolean): number {
  return isIsolated ? Math.min(Math.max(1, cores), threadsMax) : 1;
}

// Half of them; one where two cores are all there are, since the machine has other work, too.
export function threadsDefault(offered: number): number {
  return offered > 2 ? Math.max(2, Math.floor(offered / 2)) : 1;
}
