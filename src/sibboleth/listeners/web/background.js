// What listeners say about their languages and themselves.

import { choices, fill, make, paragraphs } from "./make.js";
import { heading, missing, primary } from "./steps.js";

// Languages with the most speakers, and those of Europe; any other can be written down.
const CODES = ("af am ar az be bg bn br bs ca ceb cs cy da de el en es et eu fa fi fr fy ga gl gu ha he hi hr hu hy id ig " +
  "is it ja jv ka kk km kn ko ku lb lo lt lv mg mk ml mn mr ms mt my nb nds ne nl nn pa pl ps pt rm ro ru sd si sk sl so " +
  "sq sr sv sw ta te tg th tl tr uk ur uz vi wuu xh yo yue zh zu").split(" ");
const UNLISTED = "*";
const MOST_YEARS = 120;

export function background({ step, words, submit }) {
  const said = words.background;
  const known = languages(step.languages);
  const first = firsts(known, step.languages, said);
  const others = levels(known, step.languages, said);
  const years = step.dialects.map((name, index) => number(`years-${index}`, name, { max: MOST_YEARS, unit: said.years }));
  const age = number("age", said.age, { max: 120, step: 1, note: step.least_age ? null : said.optional });
  const gender = select("gender", said.gender, [["", said.unsaid], ["woman", said.woman], ["man", said.man], ["other", said.other]],
    said.optional);
  const hearing = choices({ name: "hearing", legend: said.hearing, options: [
    { value: "normal", words: said.hearing_normal }, { value: "loss", words: said.hearing_loss },
    { value: "unsaid", words: said.unsaid }] });

  function wanting() {
    if (!first.values().length) return { text: `${said.first}: ${said.required}`, focus: () => first.focus() };
    const open = [...others.fields(first.values()), ...years].find((field) => !field.valid());
    if (open) return { text: `${open.name}: ${said.required}`, focus: () => open.input.focus() };
    if (step.hearing && !hearing.chosen) return { text: `${said.hearing}: ${said.required}`, focus: () => hearing.focus() };
    if (age.valid() || (!step.least_age && age.input.value === "")) return null;
    return { text: `${said.age}: ${said.required}`, focus: () => age.input.focus() };
  }

  first.node.addEventListener("change", () => others.leave(first.values()));
  return {
    nodes: [
      heading(said.heading), ...paragraphs(step.text), first.node, others.node,
      ...(years.length ? [group(said.dialects, said.dialects_hint, ...years.map((one) => one.node))] : []),
      ...(step.hearing ? [hearing.node] : []),
      make("div", { class: "pair" }, age.node, gender.node),
      missing(), make("div", { class: "actions" }, primary(words.item.go_on, submit)),
    ],
    missing: wanting,
    answer: () => ({ background: {
      age: age.input.value === "" ? null : Number(age.input.value),
      gender: gender.input.value,
      first: first.values(),
      levels: others.values(first.values()),
      years: Object.fromEntries(years.map((one) => [one.name, Number(one.input.value)])),
      hearing: step.hearing ? hearing.values[0] : "unsaid",
    } }),
  };
}

// Pairs of value and name, by name: languages of the list that the test does not ask about by itself.
function languages(asked) {
  const names = new Intl.DisplayNames([document.documentElement.lang], { type: "language" });
  const english = new Intl.DisplayNames(["en"], { type: "language" });
  const taken = new Set(asked.map((one) => one.toLowerCase()));
  return CODES.filter((code) => ![code, english.of(code), names.of(code)].some((one) => taken.has(one.toLowerCase())))
    .map((code) => [code, names.of(code)])
    .sort((a, b) => a[1].localeCompare(b[1], document.documentElement.lang));
}

// A language that the test's file names by its code is shown by its name.
function name(language) {
  if (!/^[a-z]{2,3}$/.test(language)) return language;
  return new Intl.DisplayNames([document.documentElement.lang], { type: "language" }).of(language);
}

function group(legend, hint, ...inside) {
  return make("fieldset", { class: "group" }, make("legend", {}, legend), make("p", { class: "hint" }, hint), ...inside);
}

function firsts(known, asked, said) {
  const box = choices({ name: "first", legend: said.first, hint: said.first_hint, several: true,
    options: asked.map((one) => ({ value: one, words: name(one) })) });
  const more = [];
  const rows = make("div", { class: "rows" });
  function add() {
    const only = !asked.length && !more.length;
    const one = other(`first-other-${more.length}`, known, said, only ? said.first : said.other_language);
    one.node.querySelector("label").classList.toggle("hidden", only);
    more.push(one);
    rows.append(one.node);
    return one;
  }
  const button = make("button", { type: "button", class: "link", onclick: () => add().input.focus() }, `+ ${said.other_language}`);
  if (!asked.length) add();
  box.node.append(rows, button);
  return {
    node: box.node,
    values: () => [...new Set([...box.values, ...more.map((one) => one.value()).filter(Boolean)])],
    focus: () => (asked.length ? box.focus() : more[0].input.focus()),
  };
}

// Another language: one of the list, or written down.
function other(id, known, said, label = said.other_language) {
  const list = select(id, label, [["", said.choose], ...known, [UNLISTED, said.unlisted]]);
  const free = make("input", { type: "text", maxlength: "80", "aria-label": said.unlisted_hint, placeholder: said.unlisted_hint, hidden: true });
  list.input.addEventListener("change", () => { free.hidden = list.input.value !== UNLISTED; if (!free.hidden) free.focus(); });
  list.node.append(free);
  return { node: list.node, input: list.input, value: () => (list.input.value === UNLISTED ? free.value.trim() : list.input.value) };
}

function levels(known, asked, said) {
  const scale = [["", said.choose], ...said.level.map((one, index) => [index, one])];
  const named = asked.map((one, index) => ({ ...select(`level-${index}`, name(one), scale), language: one }));
  let more = [];
  const rows = make("div", { class: "rows" }, ...named.map((one) => one.node));
  const node = group(said.levels, said.levels_hint, rows,
    make("button", { type: "button", class: "link", onclick: add }, `+ ${said.add}`));

  function add() {
    const one = other(`other-${more.length}`, known, said);
    const level = select(`other-level-${more.length}`, said.levels_hint, scale);
    const remove = make("button", { type: "button", class: "remove", "aria-label": fill(said.remove, { language: said.other_language }),
      onclick: () => { more = more.filter((kept) => kept.row !== row); row.remove(); } }, "×");
    const row = make("div", { class: "row" }, one.node, level.node, remove);
    level.node.querySelector("label").classList.add("hidden");
    more.push({ row, other: one, level });
    rows.append(row);
    one.input.focus();
  }

  const asking = (first) => named.filter((one) => !first.includes(one.language));
  return {
    node,
    // First languages need no level.
    leave: (first) => named.forEach((one) => { one.node.hidden = first.includes(one.language); }),
    fields: (first) => [...asking(first), ...more.filter((one) => one.other.value()).map((one) => one.level)],
    values: (first) => Object.fromEntries([
      ...asking(first).map((one) => [one.language, Number(one.input.value)]),
      ...more.filter((one) => one.other.value() && !first.includes(one.other.value()))
        .map((one) => [one.other.value(), Number(one.level.input.value)])]),
  };
}

function select(id, label, options, note) {
  const input = make("select", { id }, ...options.map(([value, words]) => make("option", { value }, words)));
  return { ...field(input, label, note), valid: () => input.value !== "" };
}

function number(id, label, { max, step = "any", unit, note }) {
  const input = make("input", { type: "number", id, min: "0", max, step, inputmode: "decimal" });
  return { ...field(input, label, note, unit), valid: () => input.value !== "" && input.checkValidity() };
}

function field(input, label, note, unit) {
  const written = make("label", { for: input.id }, label, note ? make("span", { class: "note" }, ` (${note})`) : null);
  const node = make("div", { class: "field" }, written, make("div", { class: "entry" }, input, unit ? make("span", {}, unit) : null));
  return { node, input, name: label };
}
