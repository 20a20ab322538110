// Keeps the work of each session in order where a step takes more than one turn on the executor: a
// step whose rows wait for experts elsewhere lets other sessions' steps pass, and nothing of its
// own sessions.

export class SessionGate {
  readonly #tails = new Map<bigint, Promise<void>>();

  // Calls `work` once everything that was given before it for one of `sessions` is done: at once
  // where there is nothing.
  run(sessions: Iterable<bigint>, work: () => Promise<void>): void {
    const own = [...new Set(sessions)];
    const before = own.flatMap((session) => this.#tails.get(session) ?? []);
    const done = before.length === 0 ? work() : Promise.all(before).then(work);
    const tail = done.catch(() => undefined);
    for (const session of own) this.#tails.set(session, tail);
    void tail.then(() => {
      for (const session of own) {
        if (this.#tails.get(session) === tail) this.#tails.delete(session);
      }
    });
  }
}
