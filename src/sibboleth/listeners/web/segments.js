// A recording on whose waveform stretches are marked: by mouse, by touch or by keyboard.

import { choices, digit, fill, make } from "./make.js";
import { player } from "./player.js";
import { heading, missing, practice, primary } from "./steps.js";
import { Waveform } from "./waveform.js";

const STEP = 0.05; // Seconds that an arrow moves.
const SHORTEST = 0.05;
const NEW = 0.5;
const COLOURS = 8;

export function segments({ step, words, sound, submit, say, remember, draft }) {
  const said = words.segments;
  const number = new Intl.NumberFormat(document.documentElement.lang, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  const words_of = new Map(step.choices.map((choice) => [choice.label, choice.words]));
  let regions = (draft.regions ?? []).map((region) => ({ ...region }));
  let chosen = null;

  const play = player(sound, words);
  const wave = new Waveform({ seconds: step.seconds, peaks: step.peaks, sound, said, draw, move, choose, text });
  const asked = choices({ name: "label", legend: said.chosen, look: "options keyed",
    options: step.choices.map((choice) => ({ value: choice.label, words: choice.words })) });
  const start = time(said.start, (value) => change(chosen, { start: value }));
  const end = time(said.end, (value) => change(chosen, { end: value }));
  const hint = make("p", { class: "hint" }, said.text);
  const buttons = [
    make("button", { type: "button", class: "secondary", onclick: () => hear(chosen) }, said.play),
    make("button", { type: "button", class: "secondary", onclick: () => drop(chosen) }, said.delete),
  ];
  const inspector = make("div", { class: "inspector" }, asked.node,
    make("div", { class: "pair times" }, start.node, end.node), make("div", { class: "actions" }, ...buttons));
  const adding = make("button", { type: "button", class: "link", onclick: () => create() }, `+ ${said.add}`);
  const nothing = make("input", { type: "checkbox", id: "nothing", onchange: update });
  const nothingLabel = make("label", { class: "option", for: "nothing", hidden: !step.none }, nothing, make("span", {}, said.nothing));

  asked.node.addEventListener("change", () => change(chosen, { label: asked.values[0] }));
  sound.addEventListener("change", update);
  update();

  function text(region) {
    return fill(said.region, { number: regions.indexOf(region) + 1, label: words_of.get(region.label) ?? said.unlabelled,
      start: number.format(region.start), end: number.format(region.end) });
  }

  function update() {
    const open = sound.heard != null || draft.heard || (sound.left === 0 && sound.state !== "playing");
    if (sound.heard != null && !draft.heard) remember({ heard: draft.heard = true });
    wave.open = open;
    adding.disabled = nothing.disabled = !open;
    hint.textContent = open ? said.text : words.item.listen;
    wave.show(regions.map((region) => ({ region, chosen: region === chosen, words: words_of.get(region.label) ?? "?",
      colour: region.label ? [...words_of.keys()].indexOf(region.label) % COLOURS : null })));
    inspector.hidden = !chosen;
    nothingLabel.hidden = !step.none || regions.length > 0;
    if (!chosen) return;
    for (const input of asked.inputs) input.checked = input.value === chosen.label;
    start.input.value = chosen.start.toFixed(2);
    end.input.value = chosen.end.toFixed(2);
  }

  function time(label, take) {
    const id = `time-${label.length}-${Math.random().toString(36).slice(2)}`;
    const input = make("input", { type: "number", id, min: "0", max: step.seconds.toFixed(2), step: "0.01", inputmode: "decimal",
      onchange: () => (input.value === "" ? update() : take(Number(input.value))) });
    return { input, node: make("div", { class: "field" }, make("label", { for: id }, label), input) };
  }

  function choose(region) {
    chosen = region;
    update();
  }

  function create(from = wave.cursor) {
    const start = Math.min(from, Math.max(step.seconds - NEW, 0));
    const region = { start: cut(start), end: cut(Math.min(start + NEW, step.seconds)), label: only() };
    regions.push(region);
    settle(region);
    wave.focus(region);
    say(text(region));
  }

  function only() {
    return step.choices.length === 1 ? step.choices[0].label : "";
  }

  // A stretch that is drawn, to the left or to the right: a new one at first.
  function draw(region, from, to) {
    const drawn = region ?? { label: only() };
    drawn.start = cut(Math.min(from, to, step.seconds - SHORTEST));
    drawn.end = Math.max(cut(Math.max(from, to)), cut(drawn.start + SHORTEST));
    if (!region) regions.push(drawn);
    settle(drawn);
    return drawn;
  }

  // Of a whole stretch, or of one edge by the mouse or arrows; `start` and `end` are where it is to be.
  function move(region, { start, end }) {
    if (start != null && end != null) {
      const length = region.end - region.start;
      const from = Math.min(Math.max(start, 0), step.seconds - length);
      Object.assign(region, { start: cut(from), end: cut(from + length) });
    } else if (start != null) region.start = cut(Math.min(Math.max(start, 0), region.end - SHORTEST));
    else region.end = cut(Math.max(Math.min(end, step.seconds), region.start + SHORTEST));
    settle(region);
  }

  function change(region, parts) {
    if (!region) return;
    if ("label" in parts) region.label = parts.label;
    else move(region, parts);
    settle(region);
    say(text(region));
  }

  function settle(region) {
    nothing.checked = false;
    chosen = region;
    remember({ regions });
    update();
  }

  function drop(region) {
    regions = regions.filter((one) => one !== region);
    chosen = null;
    remember({ regions });
    update();
    wave.focus(null);
    say(regions.length ? "" : said.none);
  }

  function hear(region) {
    if (sound.state === "playing") sound.stop();
    else sound.play(region.start, region.end);
  }

  function key(event) {
    const focused = wave.focused(event.target);
    if (focused && focused !== chosen) choose(focused);
    const index = digit(event);
    const writes = event.target.tagName === "INPUT" && event.target.type === "number";
    if (index != null && !writes && chosen) return asked.press(index) ?? true;
    if (event.key.toLowerCase() === "n" && !writes && !event.ctrlKey && !event.metaKey && wave.open) return create() ?? true;
    const way = { ArrowLeft: -STEP, ArrowRight: STEP }[event.key];
    if (!focused) return wave.key(event, way);
    if (way) return arrow(focused, way, event);
    if (event.key === "Delete" || event.key === "Backspace") return drop(focused) ?? true;
    if (event.key === " ") return hear(focused) ?? true;
    if (event.key === "Enter") return submit(), true;
    return false;
  }

  function arrow(region, way, event) {
    if (event.shiftKey) move(region, { end: region.end + way });
    else if (event.altKey) move(region, { start: region.start + way });
    else move(region, { start: region.start + way, end: region.end + way });
    say(text(region));
    return true;
  }

  function cut(seconds) {
    return Math.round(100 * Math.min(Math.max(seconds, 0), step.seconds)) / 100;
  }

  return {
    nodes: [practice(step, words), heading(step.question), play.node, wave.node,
      make("div", { class: "under" }, hint, adding), inspector, nothingLabel, missing(),
      make("div", { class: "actions" }, primary(words.item.go_on, submit))].filter(Boolean),
    missing: () => {
      const bare = regions.find((region) => !region.label);
      const tell = (what, focus) => ({ text: fill(words.item.missing, { what }), focus });
      if (!wave.open) return { text: words.item.listen, focus: () => play.button.focus() };
      if (bare) return tell(said.missing, () => { choose(bare); asked.focus(); });
      if (regions.length || nothing.checked) return null;
      return tell(step.none ? said.nothing_hint : said.add, () => wave.focus(null));
    },
    answer: () => ({
      regions: [...regions].sort((a, b) => a.start - b.start || a.end - b.end),
      reaction: sound.heard == null ? null : (performance.now() - sound.heard) / 1000,
    }),
    key,
    press: () => (sound.state === "playing" ? sound.stop() : sound.play(wave.cursor < step.seconds - SHORTEST ? wave.cursor : 0)),
    close: () => wave.close(),
    help: [[words.keys.space_key, "space"], ["N", "new"], ["← →", "arrows"], ["⇧ / Alt + ← →", "edges"], ["1–9", "digits"],
      ["Del", "delete"], ["Enter", "enter"]],
  };
}
