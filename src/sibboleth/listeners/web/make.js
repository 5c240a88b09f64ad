// Elements and words.

export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

export function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (all, name) => (name in values ? values[name] : all));
}

export function paragraphs(text) {
  return text.trim().split(/\n\s*\n/).filter(Boolean).map((one) => make("p", {}, one));
}

// A group of radio buttons, or of boxes where several may be chosen. An option has value, words and, if it is to be
// read otherwise than it is shown, `aloud`.
export function choices({ name, legend, hint, options, several = false, hidden = false, look = "options" }) {
  const kind = several ? "checkbox" : "radio";
  const inputs = options.map((option, index) =>
    make("input", { type: kind, name, value: option.value, id: `${name}-${index}`, "aria-label": option.aloud }));
  const keyed = look === "options keyed";
  const labels = options.map((option, index) => make("label", { for: `${name}-${index}`, class: "option" },
    inputs[index],
    keyed && index < 10 ? make("kbd", { "aria-hidden": "true" }, String((index + 1) % 10)) : null,
    make("span", {}, option.words)));
  const node = make("fieldset", { class: look, role: several ? "group" : "radiogroup" },
    make("legend", { class: hidden ? "hidden" : null }, legend),
    hint ? make("p", { class: "hint" }, hint) : null,
    make("div", { class: "among" }, ...labels));
  return {
    node,
    inputs,
    get values() { return inputs.filter((input) => input.checked).map((input) => input.value); },
    get chosen() { return inputs.some((input) => input.checked); },
    focus() { (inputs.find((input) => input.checked) ?? inputs[0]).focus(); },
    press(index) { if (inputs[index] && !node.disabled) inputs[index].click(); },
  };
}

export function digit(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || !/^[0-9]$/.test(event.key)) return null;
  return (Number(event.key) + 9) % 10;
}
