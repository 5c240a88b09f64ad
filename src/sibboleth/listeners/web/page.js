// The page of one listener: shows the step that is due, sends its answer, shows the next.

import { background } from "./background.js";
import { Connection, Gone, keep, recall } from "./connection.js";
import { item } from "./item.js";
import { make } from "./make.js";
import { segments } from "./segments.js";
import { Sound } from "./sound.js";
import { consent, ending, feedback, headphones, loudness, told } from "./steps.js";

const VIEWS = {
  consent, background, loudness, headphones, feedback,
  instructions: told, part: told, break: told,
  item: (context) => (context.step.kind === "segments" ? segments(context) : item(context)),
  done: ending, screened: ending, withdrawn: ending,
};
const MOST_WAIT = 1500; // Milliseconds in which a recording may come before the page is shown without.

const words = JSON.parse(document.getElementById("words").textContent);
const main = document.getElementById("main");
const alert = document.getElementById("alert");
const withdrawing = document.getElementById("withdraw");
const home = main.dataset.home;
const connection = new Connection(home, tell);
const draftKey = `sibboleth${home}/draft`;

let step = null;
let view = null;
let sound = null;
let shown = 0;
let busy = false;

function tell(name) {
  const now = make("button", { type: "button", class: "link", onclick: () => connection.hurry() }, words.connection.again);
  alert.dataset.kind = name ?? "";
  alert.replaceChildren(...(name ? [words.connection[name]] : []), ...(name === "lost" ? [" ", now] : []));
}

function say(text) {
  document.getElementById("status").textContent = text;
}

function draft() {
  const kept = recall(draftKey);
  if (kept?.step === step.step) return kept;
  keep(draftKey, null);
  return { step: step.step, plays: 0 };
}

function remember(parts) {
  keep(draftKey, { ...draft(), plays: sound?.plays ?? 0, ...parts });
}

async function show(next) {
  sound?.close();
  view?.close?.();
  step = next;
  sound = step.audio ? new Sound(() => connection.sound(step.audio), draft().plays, step.plays) : null;
  const loading = sound?.load();
  sound?.addEventListener("change", () => { if (sound.state === "playing") remember({}); });
  await Promise.race([loading, new Promise((resolve) => setTimeout(resolve, MOST_WAIT))]);
  view = VIEWS[step.show]({ step, words, sound, submit, say, remember, draft: draft(), connection });
  main.replaceChildren(...view.nodes);
  main.dataset.step = step.step;
  main.className = `sheet ${step.show === "item" && step.kind === "segments" ? "wide" : "narrow"}`;
  progress();
  help();
  withdrawing.hidden = ["consent", "done", "screened", "withdrawn"].includes(step.show);
  busy = false;
  shown = performance.now();
  window.scrollTo(0, 0);
  main.querySelector("h1").focus({ preventScroll: true });
}

function progress() {
  const percent = Math.round(100 * step.progress);
  document.getElementById("done").style.width = `${percent}%`;
  document.getElementById("progress").setAttribute("aria-valuenow", percent);
}

function help() {
  const rows = (view.help ?? []).map(([key, does]) =>
    make("div", {}, make("dt", {}, make("kbd", {}, key)), make("dd", {}, words.keys[does])));
  const folded = make("details", { class: "keys" }, make("summary", {}, words.keys.heading), make("dl", {}, ...rows));
  document.getElementById("keys").replaceChildren(...(rows.length ? [folded] : []));
}

async function submit(parts = {}) {
  if (busy || !view.answer) return;
  const missing = view.missing?.();
  if (missing) return complain(missing);
  busy = true;
  sound?.stop();
  main.classList.add("sending");
  const seconds = (performance.now() - shown) / 1000;
  const answer = { step: step.step, plays: sound?.plays ?? 0, duration: seconds, ...view.answer(), ...parts };
  tell(null);
  await going(connection.answer(answer));
}

async function going(promised) {
  busy = true;
  try {
    await show(await promised);
  } catch (error) {
    if (!(error instanceof Gone)) throw error;
    main.replaceChildren(make("h1", {}, document.title), make("p", {}, words.connection.gone));
    tell(null);
  }
}

main.addEventListener("change", () => { main.querySelector("#missing")?.replaceChildren(); });

function complain({ text, focus }) {
  main.querySelector("#missing").textContent = text;
  focus();
}

function goes(event) {
  const { target } = event;
  if (target.closest("button, a, summary, select")) return false;
  return target.tagName !== "TEXTAREA" || !event.shiftKey;
}

function plays(target) {
  if (target.closest("button, a, summary, select, textarea")) return false;
  return target.tagName !== "INPUT" || (target.type === "radio" && target.checked);
}

document.addEventListener("keydown", (event) => {
  // Enter and digits choose characters while somebody writes Chinese.
  if (event.isComposing || (event.repeat && event.key === "Enter") || busy || !view) return;
  if (document.querySelector("dialog")) return;
  if (view.key?.(event)) return event.preventDefault();
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Enter" && goes(event)) {
    event.preventDefault();
    submit();
  } else if (event.key === " " && view.press && plays(event.target)) {
    event.preventDefault();
    view.press();
  }
});

// Somebody who went on in another window is led to where they are.
document.addEventListener("visibilitychange", async () => {
  if (document.visibilityState !== "visible" || busy || !step) return;
  const due = await connection.glance();
  if (!due || busy || (due.step === step.step && due.show === step.show)) return;
  tell("moved");
  await show(due);
});

withdrawing.addEventListener("click", () => {
  const closing = () => dialog.close();
  const sure = () => { dialog.close(); going(connection.withdraw()); };
  const dialog = make("dialog", { "aria-labelledby": "sure", onclose: () => dialog.remove() },
    make("h2", { id: "sure" }, words.withdraw.question), make("p", {}, words.withdraw.text),
    make("div", { class: "actions" },
      make("button", { type: "button", class: "secondary", onclick: closing }, words.withdraw.cancel),
      make("button", { type: "button", class: "danger", onclick: sure }, words.withdraw.confirm)));
  document.body.append(dialog);
  dialog.showModal();
});

await going(connection.due());
