// What goes to the server and comes back. An answer is kept until the server has it: in a reloaded page too.

const FIRST_WAIT = 1000;
const LONGEST_WAIT = 30000;
const PATIENCE = 20000;

export class Gone extends Error {}

export class Connection {
  #home;
  #tell;
  #hurry = () => {};

  // `tell` is given the name of what is to be said, or nothing when all is well again.
  constructor(home, tell) {
    this.#home = home;
    this.#tell = tell;
    window.addEventListener("online", () => this.hurry());
  }

  get #key() { return `sibboleth${this.#home}`; }

  hurry() { this.#hurry(); }

  // Return the step that is due, after an answer that an earlier page could not send.
  async due() {
    const kept = recall(this.#key);
    return kept ? this.answer(kept) : (await this.#patiently("step")).step;
  }

  // Return the step that is due, or nothing where the server does not say so at once.
  async glance() {
    const found = await this.#once("step").catch(() => null);
    return found?.ok ? found.json().catch(() => null) : null;
  }

  async answer(answer) {
    keep(this.#key, answer);
    const { step, refused } = await this.#patiently("answer", answer);
    keep(this.#key, null);
    if (!refused) return step;
    this.#tell(refused === 409 ? "moved" : "refused");
    return (await this.#patiently("step")).step;
  }

  async withdraw() { return (await this.#patiently("withdraw", {})).step; }

  async sound(address) {
    const found = await fetch(new URL(address, `${location.origin}${this.#home}/audio/`));
    if (!found.ok) throw new Error(`${found.status}`);
    return found.blob();
  }

  async #patiently(place, body) {
    let lost = false;
    for (let wait = FIRST_WAIT; ; wait = Math.min(2 * wait, LONGEST_WAIT)) {
      const found = await this.#once(place, body).catch(() => null);
      const step = found?.ok ? await found.json().catch(() => null) : null;
      if (step) {
        if (lost) this.#tell("back");
        return { step };
      }
      if (found?.status === 404) throw new Gone();
      if (found && !found.ok && found.status < 500 && found.status !== 429 && body) return { refused: found.status };
      lost = true;
      this.#tell("lost");
      await this.#pause(Math.max(wait, 1000 * (Number(found?.headers.get("Retry-After")) || 0)));
    }
  }

  #once(place, body) {
    const options = { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) };
    if (body) {
      // Outlives the page, so that an answer is not lost by closing it.
      Object.assign(options, { method: "POST", keepalive: true, body: JSON.stringify(body) });
      options.headers = { "Content-Type": "application/json" };
    }
    return fetch(`${this.#home}/${place}`, options);
  }

  #pause(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#hurry = () => { clearTimeout(timer); resolve(); };
    });
  }
}

// What a browser that keeps nothing (private windows of some) forgets is asked again.
export function keep(key, value) {
  try {
    if (value == null) sessionStorage.removeItem(key);
    else sessionStorage.setItem(key, JSON.stringify(value));
  } catch { /* Nothing is kept. */ }
}

export function recall(key) {
  try { return JSON.parse(sessionStorage.getItem(key)); } catch { return null; }
}
