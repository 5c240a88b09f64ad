// A recording: fetched whole before it is played, so that it never stops half way. It is played by a press of a
// button, as phones want it.

const MOST_TRIES = 4;

export class Sound extends EventTarget {
  #fetch;
  #audio = new Audio();
  #until = Infinity;
  state = "loading"; // loading, ready, playing, failed
  heard = null; // When the first playing ended, in milliseconds of the page.

  constructor(fetch, plays = 0, most = 0) {
    super();
    this.#fetch = fetch;
    this.plays = plays;
    this.most = most;
    this.#audio.addEventListener("ended", () => this.#over(true));
    this.#audio.addEventListener("error", () => { if (this.state !== "loading") this.#become("failed"); });
  }

  get left() { return this.most ? Math.max(this.most - this.plays, 0) : Infinity; }
  get time() { return this.#audio.currentTime; }
  set time(seconds) { this.#audio.currentTime = seconds; }

  async load() {
    this.#become("loading");
    for (let tried = 1; ; tried += 1) {
      try {
        const blob = await this.#fetch();
        this.#audio.src = URL.createObjectURL(blob);
        return this.#become("ready");
      } catch {
        if (tried === MOST_TRIES) return this.#become("failed");
        await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** tried));
      }
    }
  }

  // Play from `start` to `end`, in seconds.
  async play(start = 0, end = Infinity) {
    if (this.state === "playing" || this.state === "loading" || !this.left) return;
    this.#audio.currentTime = start;
    this.#until = end;
    this.plays += 1;
    this.#become("playing");
    try {
      await this.#audio.play();
    } catch (error) {
      if (error.name === "AbortError") return;
      this.plays -= 1;
      this.#become("failed");
      return;
    }
    if (end < Infinity) this.#watch();
  }

  stop() {
    if (this.state !== "playing") return;
    this.#audio.pause();
    this.#over(false);
  }

  close() {
    this.#audio.pause();
    URL.revokeObjectURL(this.#audio.src);
  }

  #watch() {
    if (this.state !== "playing" || this.#until === Infinity) return;
    if (this.#audio.currentTime >= this.#until) this.stop();
    else requestAnimationFrame(() => this.#watch());
  }

  #over(whole) {
    this.heard ??= whole ? performance.now() : null;
    this.#become("ready");
  }

  #become(state) {
    this.state = state;
    this.dispatchEvent(new Event("change"));
  }
}
