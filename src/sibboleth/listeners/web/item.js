// An item that is heard and answered by labels or words, with scales beside.

import { choices, digit, fill, make } from "./make.js";
import { player } from "./player.js";
import { heading, missing, practice, primary } from "./steps.js";

export function item({ step, words, sound, submit, say, remember, draft }) {
  const play = player(sound, words);
  const asked = step.kind === "text" ? written(step, words, draft, remember, play) : labelled(step, words);
  const scales = step.scales.map((scale) => scaled(scale, words));
  const groups = [asked, ...scales];
  const hint = make("p", { class: "hint wait" }, words.item.listen);
  const body = make("div", { class: "answers" }, hint, ...groups.map((group) => group.node));
  let chosen = null; // When the label was chosen that is sent.

  function update() {
    // Who has used up all playings and lost the end, by a reload, may answer as well.
    const open = sound.heard != null || (sound.left === 0 && sound.state !== "playing") || draft.heard === true;
    if (sound.heard != null && !draft.heard) remember({ heard: true });
    for (const group of groups) group.node.disabled = !open;
    if (open && !hint.hidden) say(words.item.answer);
    hint.hidden = open;
  }

  sound.addEventListener("change", update);
  asked.node.addEventListener("change", () => { chosen = performance.now(); });
  update();

  return {
    nodes: [practice(step, words), heading(step.question), play.node, body, missing(),
      make("div", { class: "actions" }, primary(words.item.go_on, submit))].filter(Boolean),
    missing: () => {
      if (!hint.hidden) return { text: words.item.listen, focus: () => play.button.focus() };
      const group = groups.find((one) => !one.chosen);
      return group ? { text: fill(words.item.missing, { what: group.what }), focus: () => group.focus() } : null;
    },
    answer: () => {
      const answered = step.kind === "text" ? performance.now() : chosen;
      const reaction = sound.heard == null ? null : Math.max(answered - sound.heard, 0) / 1000;
      return Object.assign({ reaction, ...asked.answer() }, ...scales.map((scale) => scale.answer()));
    },
    key: (event) => {
      if (asked.key?.(event)) return true;
      const index = digit(event);
      if (index == null || event.target.tagName === "TEXTAREA") return false;
      // Digits are of the group that has the focus, of the labels otherwise.
      (scales.find((scale) => scale.node.contains(event.target)) ?? asked).press(index);
      return true;
    },
    press: play.press,
    help: [[words.keys.space_key, "space"], ...(step.kind === "text" ? [["Esc", "escape"]] : [["1–9", "digits"]]),
      ["Enter", "enter"]],
  };
}

function labelled(step, words) {
  const options = step.choices.map((choice) => ({ value: choice.label, words: choice.words }));
  const group = choices({
    name: "label", legend: step.question, hidden: true, several: step.several, look: "options keyed",
    hint: step.several ? words.item.several : "",
    options: step.none ? [...options, { value: "", words: words.item.none }] : options,
  });
  const none = step.none ? group.inputs.at(-1) : null;
  group.node.addEventListener("change", ({ target }) => {
    if (!step.several || !none) return;
    if (target !== none) none.checked = false;
    else for (const input of group.inputs) input.checked = input === none && none.checked;
  });
  group.what = step.question;
  group.answer = () => ({ labels: none?.checked ? [] : group.values });
  return group;
}

function scaled(scale, words) {
  const ends = { 1: scale.low, [scale.points]: scale.high };
  const options = Array.from({ length: scale.points }, (_, index) => {
    const point = index + 1;
    return { value: point, words: String(point), aloud: ends[point] ? `${point}, ${ends[point]}` : null };
  });
  const group = choices({ name: scale.name, legend: words.scale[scale.name], options, look: "scale" });
  group.node.append(make("div", { class: "ends", "aria-hidden": "true" },
    make("span", {}, scale.low), make("span", {}, scale.high)));
  group.what = words.scale[scale.name];
  group.answer = () => ({ [scale.name]: Number(group.values[0]) });
  return group;
}

function written(step, words, draft, remember, play) {
  const area = make("textarea", { id: "text", rows: "4", maxlength: "4000", spellcheck: "false", autocomplete: "off",
    autocapitalize: "off", oninput: () => remember({ text: area.value }) });
  area.value = draft.text ?? "";
  const node = make("fieldset", { class: "written" }, make("legend", { class: "hidden" }, step.question),
    make("label", { for: "text" }, words.item.text), area);
  return {
    node,
    what: step.question,
    get chosen() { return area.value.trim() !== ""; },
    focus: () => area.focus(),
    press: () => {},
    answer: () => ({ text: area.value.trim() }),
    key: (event) => {
      if (event.key !== "Escape" || event.target !== area) return false;
      play.press();
      return true;
    },
  };
}
