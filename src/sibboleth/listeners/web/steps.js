// The steps that have no recording to be judged.

import { choices, digit, make, paragraphs } from "./make.js";
import { player } from "./player.js";
import { Sound } from "./sound.js";

export function heading(text) {
  return make("h1", { tabindex: "-1" }, text);
}

export function primary(words, submit, attributes = {}) {
  return make("button", { type: "button", class: "primary", onclick: () => submit(), ...attributes }, words);
}

export function missing() {
  return make("p", { class: "error", id: "missing", role: "alert" });
}

export function practice(step, words) {
  return step.practice ? make("p", { class: "mark" }, words.part.practice) : null;
}

export function consent({ step, words, submit }) {
  const box = make("input", { type: "checkbox", id: "agree" });
  return {
    nodes: [
      heading(words.consent.heading),
      ...paragraphs(step.text),
      make("label", { class: "option agree", for: "agree" }, box, make("span", {}, words.consent.agree)),
      missing(),
      make("div", { class: "actions" },
        primary(words.consent.start, submit),
        make("button", { type: "button", class: "link", onclick: () => { box.checked = true; submit({ agreed: false }); } },
          words.consent.refuse)),
    ],
    missing: () => (box.checked ? null : { text: words.background.required, focus: () => box.focus() }),
    answer: () => ({ agreed: true }),
  };
}

// Instructions, what comes next, and breaks.
export function told({ step, words, submit }) {
  const title = { instructions: words.instructions.heading, part: words.part.heading, break: words.part.rest }[step.show];
  const question = step.show === "part" && step.question ? make("p", { class: "question" }, step.question) : null;
  return {
    nodes: [practice(step, words), heading(title), question, ...paragraphs(step.text),
      make("div", { class: "actions" }, primary(words.part.go_on, submit))].filter(Boolean),
    answer: () => ({}),
    help: [["Enter", "enter"]],
  };
}

// What the practice item before was meant to be.
export function feedback({ step, words, submit }) {
  const [before, after] = words.part.feedback.split("{label}");
  return {
    nodes: [practice({ practice: true }, words),
      make("h1", { tabindex: "-1", class: "meant" }, before, make("strong", {}, step.text), after),
      make("div", { class: "actions" }, primary(words.part.go_on, submit))],
    answer: () => ({}),
    help: [["Enter", "enter"]],
  };
}

export function loudness({ step, words, sound, submit }) {
  const { node, button, press } = player(sound, words);
  return {
    nodes: [heading(words.loudness.heading), ...paragraphs(step.text), node, missing(),
      make("div", { class: "actions" }, primary(words.loudness.done, submit))],
    missing: () => (sound.plays ? null : { text: words.item.listen, focus: () => button.focus() }),
    answer: () => ({}),
    press,
    help: [[words.keys.space_key, "space"], ["Enter", "enter"]],
  };
}

export function headphones({ step, words, submit, say, connection }) {
  const { first, second, third } = words.headphones;
  const tones = step.tones.map((address) => new Sound(() => connection.sound(address)));
  const marks = tones.map((_, index) => make("span", { class: "tone" }, String(index + 1)));
  // The three are one recording to the button; a tone that has ended starts the next.
  const row = new Row(tones, marks, step.plays);
  const { node, button, press } = player(row, words);
  const options = [first, second, third].map((said, index) => ({ value: index, words: said }));
  const asked = choices({ name: "tone", legend: words.headphones.question, options, look: "options keyed" });
  asked.node.disabled = true;
  row.addEventListener("change", () => {
    if (row.heard == null || !asked.node.disabled) return;
    asked.node.disabled = false;
    say(words.item.answer);
  });
  row.load();
  return {
    nodes: [heading(words.headphones.heading), ...paragraphs(step.text), node,
      make("div", { class: "tones", "aria-hidden": "true" }, ...marks), asked.node, missing(),
      make("div", { class: "actions" }, primary(words.item.go_on, submit))],
    missing: () => {
      if (row.heard == null) return { text: words.item.listen, focus: () => button.focus() };
      return asked.chosen ? null : { text: words.headphones.question, focus: () => asked.focus() };
    },
    answer: () => ({ tone: Number(asked.values[0]), plays: row.plays }),
    key: (event) => { const index = digit(event); if (index == null) return false; asked.press(index); return true; },
    press,
    close: () => row.close(),
    help: [[words.keys.space_key, "space"], ["1–3", "digits"], ["Enter", "enter"]],
  };
}

class Row extends EventTarget {
  state = "loading";
  plays = 0;
  heard = null;
  #tones;
  #marks;
  #now = -1;

  constructor(tones, marks, most) {
    super();
    this.#tones = tones;
    this.#marks = marks;
    this.most = most;
    tones.forEach((tone) => tone.addEventListener("change", () => this.#follow()));
  }

  get left() { return this.most ? Math.max(this.most - this.plays, 0) : Infinity; }

  async load() {
    this.#become("loading");
    await Promise.all(this.#tones.map((tone) => tone.load()));
    this.#become(this.#tones.every((tone) => tone.state === "ready") ? "ready" : "failed");
  }

  play() {
    if (this.state !== "ready" || !this.left) return;
    this.plays += 1;
    this.#start(0);
  }

  stop() {
    const playing = this.#tones[this.#now];
    this.#now = -1;
    playing?.stop();
    this.#become("ready");
  }

  close() {
    this.#now = -1;
    this.#tones.forEach((tone) => tone.close());
  }

  #start(index) {
    this.#now = index;
    this.#become("playing");
    this.#tones[index].play();
  }

  #follow() {
    if (this.state !== "playing" || this.#now < 0) return;
    const { state } = this.#tones[this.#now];
    if (state === "failed") { this.#now = -1; this.#become("failed"); }
    if (state !== "ready") return;
    const next = this.#now + 1;
    if (next < this.#tones.length) return void setTimeout(() => { if (this.#now === next - 1) this.#start(next); }, 500);
    this.#now = -1;
    this.heard ??= performance.now();
    this.#become("ready");
  }

  #become(state) {
    this.state = state;
    this.#marks.forEach((mark, index) => mark.classList.toggle("on", state === "playing" && index === this.#now));
    this.dispatchEvent(new Event("change"));
  }
}

export function ending({ step, words, say }) {
  const title = { done: words.done.heading, screened: words.done.screened, withdrawn: words.withdraw.heading }[step.show];
  const copy = make("button", { type: "button", class: "secondary", onclick: async () => {
    getSelection().selectAllChildren(code);
    // Only encrypted pages have the clipboard.
    if (navigator.clipboard) await navigator.clipboard.writeText(step.code).catch(() => {});
    else document.execCommand("copy");
    copy.textContent = words.done.copied;
    say(words.done.copied);
  } }, words.done.copy_code);
  const code = make("output", { class: "code", "aria-label": words.done.code }, step.code);
  const link = /^https?:\/\//.test(step.link)
    ? make("a", { class: "primary", href: step.link, rel: "noreferrer" }, words.done.link) : null;
  return {
    nodes: [heading(title), ...paragraphs(step.text || words.done.refused),
      ...(step.code ? [make("p", { class: "over" }, words.done.code), make("div", { class: "coded" }, code, copy)] : []),
      ...(link ? [make("div", { class: "actions" }, link)] : [])],
  };
}
