// The waveform, its position and the stretches on it.

import { make } from "./make.js";

const BAR = 3; // Pixels from bar to bar.
const SLIP = 4; // Pixels that a click may move and still be a click.
const TICKS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300];
const TICK_ROOM = 64; // Pixels that a tick wants.

export class Waveform {
  cursor = 0;
  #parts;
  #stage;
  #canvas = make("canvas", { "aria-hidden": "true" });
  #needle = make("div", { class: "needle", "aria-hidden": "true" });
  #ticks = make("div", { class: "ticks", "aria-hidden": "true" });
  #nodes = new Map();
  #sizes;
  #open = false;
  #drags = false;

  // `draw(region, from, to)` returns a stretch, a new one at first, `move(region, {start, end})` puts it elsewhere, `choose(region)` opens it, and
  // `text(region)` is how it is read aloud.
  constructor(parts) {
    this.#parts = parts;
    this.#stage = make("div", { class: "stage", tabindex: "0", role: "slider", "aria-label": `${parts.said.wave}. ${parts.said.cursor}`,
      "aria-valuemin": "0", "aria-valuemax": parts.seconds.toFixed(2) }, this.#canvas, this.#needle);
    this.regions = make("div", { class: "regions" });
    this.node = make("div", { class: "wave" }, this.#stage, this.regions, this.#ticks);
    this.node.addEventListener("pointerdown", (event) => this.#down(event));
    // A drag that the browser takes for the throw of a page would swallow the tap after it.
    this.node.addEventListener("touchmove", (event) => this.#drags && event.preventDefault(), { passive: false });
    this.#sizes = new ResizeObserver(() => this.#paint());
    this.#sizes.observe(this.#stage);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", () => this.#paint());
    parts.sound.addEventListener("change", () => this.#run());
    this.#seek(0);
  }

  close() { this.#sizes.disconnect(); }

  get open() { return this.#open; }
  set open(open) { this.#open = open; this.node.classList.toggle("open", open); }

  focus(region) { (region ? this.#nodes.get(region) : this.#stage).focus({ preventScroll: true }); }

  // The stretch that has the focus, if `target` is one.
  focused(target) { return [...this.#nodes].find(([, node]) => node.contains(target))?.[0] ?? null; }

  key(event, way) {
    if (event.target !== this.#stage) return false;
    const to = { Home: 0, End: this.#parts.seconds }[event.key] ?? (way ? this.cursor + 2 * way : null);
    if (to == null || event.altKey || event.ctrlKey || event.metaKey) return false;
    this.#seek(to);
    return true;
  }

  show(shown) {
    const { seconds, text, choose } = this.#parts;
    for (const [region, node] of this.#nodes) {
      if (shown.some((one) => one.region === region)) continue;
      node.remove();
      this.#nodes.delete(region);
    }
    for (const { region, chosen, words, colour } of shown) {
      if (!this.#nodes.has(region)) {
        const node = make("button", { type: "button", class: "region", onfocus: () => choose(region) },
          make("span", { class: "edge", "data-edge": "start" }), make("span", { class: "words" }),
          make("span", { class: "edge", "data-edge": "end" }));
        this.#nodes.set(region, node);
        this.regions.append(node);
      }
      const node = this.#nodes.get(region);
      node.style.left = `${(100 * region.start) / seconds}%`;
      node.style.width = `${(100 * (region.end - region.start)) / seconds}%`;
      node.className = `region${chosen ? " chosen" : ""} ${colour == null ? "bare" : `c${colour}`}`;
      node.setAttribute("aria-pressed", chosen);
      node.setAttribute("aria-label", text(region));
      node.querySelector(".words").textContent = words;
    }
  }

  #down(event) {
    if (event.button !== 0 || !event.isPrimary) return;
    const region = this.focused(event.target);
    const edge = event.target.dataset?.edge;
    const box = this.#stage.getBoundingClientRect();
    const at = (moved) => Math.min(Math.max((moved.clientX - box.left) / box.width, 0), 1) * this.#parts.seconds;
    const from = at(event);
    const before = region && { ...region };
    let drawn = null;
    let moving = false;
    // Focus is given below: a button is not given it by every browser.
    event.preventDefault();

    const drag = (moved) => {
      this.#drags = moving ||= Math.abs(moved.clientX - event.clientX) > SLIP;
      if (!moving || !this.#open) return;
      const to = at(moved);
      if (edge) this.#parts.move(region, { [edge]: before[edge] + to - from });
      else if (region) this.#parts.move(region, { start: before.start + to - from, end: before.end + to - from });
      else drawn = this.#parts.draw(drawn, from, to);
    };
    const up = (ended) => {
      stop();
      if (ended.type === "pointercancel") return;
      const target = region ?? drawn;
      this.focus(target);
      if (!moving && !region) this.#seek(from);
    };
    const stop = () => {
      this.#drags = false;
      this.node.removeEventListener("pointermove", drag);
      for (const name of ["pointerup", "pointercancel"]) this.node.removeEventListener(name, up);
    };
    this.node.setPointerCapture(event.pointerId);
    this.node.addEventListener("pointermove", drag);
    for (const name of ["pointerup", "pointercancel"]) this.node.addEventListener(name, up);
  }

  #seek(seconds) {
    const { seconds: most, sound } = this.#parts;
    this.cursor = Math.min(Math.max(seconds, 0), most);
    if (sound.state === "playing") sound.time = this.cursor;
    this.#point();
  }

  #point() {
    this.#needle.style.left = `${(100 * this.cursor) / this.#parts.seconds}%`;
    this.#stage.setAttribute("aria-valuenow", this.cursor.toFixed(2));
  }

  #run() {
    const { sound, seconds } = this.#parts;
    if (sound.state !== "playing") {
      // At the end the position goes back to the start, for the next playing.
      if (this.cursor > seconds - 0.05) this.cursor = 0;
      return this.#point();
    }
    this.cursor = Math.min(sound.time, seconds);
    this.#point();
    if (this.node.isConnected) requestAnimationFrame(() => this.#run());
  }

  #paint() {
    const { peaks, seconds } = this.#parts;
    const { width, height } = this.#stage.getBoundingClientRect();
    if (!width) return;
    const scale = devicePixelRatio || 1;
    this.#canvas.width = width * scale;
    this.#canvas.height = height * scale;
    const pen = this.#canvas.getContext("2d");
    pen.scale(scale, scale);
    pen.fillStyle = getComputedStyle(this.#stage).color;
    const bars = Math.floor(width / BAR);
    for (let bar = 0; bar < bars; bar += 1) {
      const first = Math.floor((bar * peaks.length) / bars);
      const last = Math.max(Math.floor(((bar + 1) * peaks.length) / bars), first + 1);
      const peak = Math.max(...peaks.slice(first, last), 0);
      const tall = Math.max(peak * (height - 12), 1.5);
      pen.fillRect(bar * BAR, (height - tall) / 2, BAR - 1, tall);
    }
    const every = TICKS.find((one) => (one / seconds) * width >= TICK_ROOM) ?? TICKS.at(-1);
    const ticks = Array.from({ length: Math.floor(seconds / every) + 1 }, (_, index) => {
      const tick = make("span", {}, `${Number((index * every).toFixed(1))} s`);
      tick.style.left = `${(100 * index * every) / seconds}%`;
      return tick;
    });
    // The last one would stand out of the page.
    this.#ticks.replaceChildren(...ticks.filter((_, index) => ((index * every) / seconds) * width < width - 24));
  }
}
