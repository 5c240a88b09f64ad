// The button that plays a recording, and what it says.

import { fill, make } from "./make.js";

const SHAPES = { play: "M9 6.5v15l13-7.5z", stop: "M8 8h12v12H8z" };

export function shape(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 28 28");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", SHAPES[name]);
  svg.append(path);
  return svg;
}

export function player(sound, words) {
  const icon = make("span", { class: "shape" }, shape("play"));
  const said = make("span", {}, words.item.loading);
  const button = make("button", { type: "button", class: "play", onclick: () => press() }, icon, said);
  const left = make("p", { class: "hint" });
  const trouble = make("p", { class: "error", role: "alert" });
  const node = make("div", { class: "player" }, button, left, trouble);

  function press() {
    if (sound.state === "failed") sound.load();
    // Where playings are counted, one that has begun is heard to its end.
    else if (sound.state === "playing" && !sound.most) sound.stop();
    else sound.play();
  }

  function update() {
    const { state } = sound;
    const again = sound.plays > 0 && state !== "playing";
    button.dataset.state = state;
    button.disabled = state === "loading" || (state === "ready" && !sound.left);
    said.textContent = { loading: words.item.loading, failed: words.item.retry }[state] ??
      (state === "playing" ? (sound.most ? words.item.play : words.item.stop) : words.item[again ? "again" : "play"]);
    icon.replaceChildren(shape(state === "playing" && !sound.most ? "stop" : "play"));
    left.textContent = sound.most ? fill(words.item.left, { count: sound.left }) : "";
    trouble.textContent = state === "failed" ? words.item.failed : "";
  }

  sound.addEventListener("change", update);
  update();
  return { node, button, press };
}
