// The editor: a plan that follows the text, and scores that are stored when they are dropped.

const form = document.getElementById("new");
const spec = document.getElementById("spec");
const plan = document.getElementById("plan");
const importance = document.getElementById("importance");
const file = document.getElementById("scores");
const drop = document.querySelector("[data-drop]");
const stored = document.querySelector("[data-stored]");
const when = document.querySelector("[data-when]");
let timer = 0;
let asking = new AbortController();

async function ask() {
  asking.abort();
  asking = new AbortController();
  const body = new URLSearchParams({ spec: spec.value, importance: importance.value.trim() });
  when.textContent = "checking …";
  try {
    const answer = await fetch("/pages/plan", { method: "POST", body, signal: asking.signal });
    plan.innerHTML = await answer.text();
    spec.setAttribute("aria-invalid", String(plan.querySelector(".note.bad") !== null));
    when.textContent = "";
  } catch (error) {
    if (error.name !== "AbortError") when.textContent = "the server does not answer";
  }
}

function soon() {
  clearTimeout(timer);
  timer = setTimeout(ask, 300);
}

async function store(chosen) {
  stored.textContent = `storing ${chosen.name} …`;
  const body = new FormData();
  body.append("scores", chosen);
  try {
    const answer = await fetch("/pages/scores", { method: "POST", body });
    const told = await answer.json();
    stored.textContent = told.problem ?? `Stored: ${chosen.name}, ${told.bytes.toLocaleString("en")} bytes`;
    if (told.digest) {
      importance.value = told.digest;
      file.value = "";
      ask();
    }
  } catch {
    stored.textContent = `${chosen.name} was not stored: the server does not answer, or refuses its size`;
  }
}

/** Select the line of a fault that was clicked. */
function show(event) {
  const line = Number(event.target.closest("[data-line]")?.dataset.line);
  if (!line) return;
  const lines = spec.value.split("\n");
  const start = lines.slice(0, line - 1).reduce((sum, text) => sum + text.length + 1, 0);
  spec.focus();
  spec.setSelectionRange(start, start + (lines[line - 1] ?? "").length);
}

spec.addEventListener("input", soon);
importance.addEventListener("input", soon);
file.addEventListener("change", () => file.files[0] && store(file.files[0]));
plan.addEventListener("click", show);
form.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.querySelector(".main").click();
});
for (const kind of ["dragenter", "dragover"]) {
  drop.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
for (const kind of ["dragleave", "drop"]) {
  drop.addEventListener(kind, () => drop.classList.remove("over"));
}
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  if (event.dataTransfer.files[0]) store(event.dataTransfer.files[0]);
});
