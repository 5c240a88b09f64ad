// The steps that have no recording to be judged.

import { choices, digit, make, paragraphs } from "./make.js";
import { player } from "./player.js";
import { inRow } from "./row.js";
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
  let starts = [];
  const sound = new Sound(async () => {
    const row = await inRow(await Promise.all(step.tones.map((name) => connection.sound(name))));
    starts = row.starts;
    return row.blob;
  }, 0, step.plays);
  const marks = step.tones.map((_, index) => make("span", { class: "tone" }, String(index + 1)));
  const { node, button, press } = player(sound, words);
  const options = [first, second, third].map((said, index) => ({ value: index, words: said }));
  const asked = choices({ name: "tone", legend: words.headphones.question, options, look: "options keyed" });
  asked.node.disabled = true;

  function mark() {
    const playing = sound.state === "playing";
    const now = playing ? starts.filter((start) => start <= sound.time).length - 1 : -1;
    marks.forEach((one, index) => one.classList.toggle("on", index === now));
    if (playing) requestAnimationFrame(mark);
  }

  sound.addEventListener("change", () => {
    mark();
    if (sound.heard == null || !asked.node.disabled) return;
    asked.node.disabled = false;
    say(words.item.answer);
  });
  sound.load();
  return {
    nodes: [heading(words.headphones.heading), ...paragraphs(step.text), node,
      make("div", { class: "tones", "aria-hidden": "true" }, ...marks), asked.node, missing(),
      make("div", { class: "actions" }, primary(words.item.go_on, submit))],
    missing: () => {
      if (sound.heard == null) return { text: words.item.listen, focus: () => button.focus() };
      return asked.chosen ? null : { text: words.headphones.question, focus: () => asked.focus() };
    },
    answer: () => ({ tone: Number(asked.values[0]), plays: sound.plays }),
    key: (event) => {
      const index = digit(event);
      if (index != null) asked.press(index);
      return index != null;
    },
    press,
    close: () => sound.close(),
    help: [[words.keys.space_key, "space"], ["1–3", "digits"], ["Enter", "enter"]],
  };
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
