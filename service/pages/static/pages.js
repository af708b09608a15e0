// What every page can do: copy commands, show the newest state, and follow a running job.

const parser = new DOMParser();

/** Put the parts of this page that are named in `selector` as the server shows them now. */
export async function refresh(selector) {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const page = parser.parseFromString(await answer.text(), "text/html");
  for (const old of document.querySelectorAll(selector)) {
    const fresh = old.id && page.getElementById(old.id);
    if (!fresh || old.contains(document.activeElement) || old.innerHTML === fresh.innerHTML) continue;
    old.innerHTML = fresh.innerHTML;
  }
}

/** Move the menu to its current page; scrollIntoView would also make the Tab key start there. */
function showPlace() {
  const menu = document.querySelector(".top nav");
  const current = menu?.querySelector("[aria-current]");
  if (!current) return;
  const [outer, inner] = [menu.getBoundingClientRect(), current.getBoundingClientRect()];
  menu.scrollLeft += inner.left + inner.width / 2 - outer.left - outer.width / 2;
}

function offerCopies() {
  if (!navigator.clipboard) return;
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.previousElementSibling.textContent);
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 1500);
    });
  }
}

function keepFresh() {
  for (const part of document.querySelectorAll("[data-refresh]")) {
    setInterval(() => {
      if (!document.hidden) refresh(`#${CSS.escape(part.id)}`).catch(() => {});
    }, Number(part.dataset.refresh));
  }
}

function followJob() {
  const card = document.querySelector("[data-job]");
  if (!card) return;
  const { job, after } = card.dataset;
  const bar = document.getElementById("bar");
  const done = document.getElementById("done");
  const phase = document.getElementById("phase");
  const ended = new Set(["succeeded", "failed", "canceled", "expired"]);
  let waiting = false;
  const look = () => {
    if (waiting) return;
    waiting = true;
    setTimeout(() => {
      waiting = false;
      refresh("#state, #events, #curves").catch(() => {});
    }, 1000);
  };
  const stream = new EventSource(`/v1/jobs/${job}/events?after=${after}`);
  stream.addEventListener("progress", ({ data }) => {
    const facts = JSON.parse(data).data;
    if (facts.completed !== undefined) {
      bar.value = facts.completed;
      done.textContent = facts.completed;
    }
    if (facts.phase) phase.textContent = facts.phase;
    look();
  });
  stream.addEventListener("log", look);
  stream.addEventListener("status", ({ data }) => {
    if (ended.has(JSON.parse(data).data.status)) {
      stream.close();
      location.reload();
    } else {
      look();
    }
  });
}

showPlace();
offerCopies();
keepFresh();
followJob();
