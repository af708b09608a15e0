// Maps that can be moved and zoomed: the window is numbers of outputs and inputs, the server draws.

const CLOSEST = 8;
const whole = new Intl.NumberFormat("en");

class Viewer {
  constructor(part) {
    this.part = part;
    this.stage = part.querySelector("svg.stage");
    this.image = this.stage.querySelector("image");
    this.shape = numbers(part.dataset.shape);
    this.view = { rows: numbers(part.dataset.rows), columns: numbers(part.dataset.columns) };
    this.drawn = { ...this.view };
    this.mode = part.dataset.mode;
    this.size = [Number(this.image.getAttribute("width")), Number(this.image.getAttribute("height"))];
    this.tiles = null;
    this.asking = new AbortController();
    this.timer = 0;
    this.followers = [];
    this.listen();
  }

  listen() {
    const { stage, part } = this;
    stage.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey && !stage.matches(":focus")) return;
      event.preventDefault();
      this.zoom(event.deltaY > 0 ? 1.25 : 0.8, this.at(event));
    }, { passive: false });
    stage.addEventListener("dblclick", (event) => this.zoom(0.5, this.at(event)));
    stage.addEventListener("pointerdown", (event) => {
      this.held = [event.clientX, event.clientY];
      stage.setPointerCapture(event.pointerId);
    });
    stage.addEventListener("pointerup", () => (this.held = null));
    stage.addEventListener("pointercancel", () => (this.held = null));
    stage.addEventListener("pointermove", (event) => {
      if (!this.held) return this.read(event);
      const box = stage.getBoundingClientRect();
      const [x, y] = this.held;
      this.held = [event.clientX, event.clientY];
      this.move((y - event.clientY) / box.height, (x - event.clientX) / box.width);
    });
    stage.addEventListener("keydown", (event) => {
      const steps = { ArrowUp: [-0.2, 0], ArrowDown: [0.2, 0], ArrowLeft: [0, -0.2], ArrowRight: [0, 0.2] };
      if (steps[event.key]) this.move(...steps[event.key]);
      else if (event.key === "+" || event.key === "=") this.zoom(0.5);
      else if (event.key === "-") this.zoom(2);
      else if (event.key === "0") this.all();
      else return;
      event.preventDefault();
    });
    for (const link of part.querySelectorAll("[data-mode-of]")) {
      link.addEventListener("click", (event) => {
        event.preventDefault();
        this.mode = link.dataset.modeOf;
        for (const other of part.querySelectorAll("[data-mode-of]")) {
          other.toggleAttribute("aria-current", other === link);
          if (other === link) other.setAttribute("aria-current", "true");
        }
        this.ask();
      });
    }
    for (const link of part.querySelectorAll("[data-zoom]")) {
      link.addEventListener("click", (event) => {
        event.preventDefault();
        this.zoom(Number(link.dataset.zoom));
      });
    }
    part.querySelector("[data-whole]")?.addEventListener("click", (event) => {
      event.preventDefault();
      this.all();
    });
  }

  /** Where on the stage a pointer is, as shares of its height and width. */
  at(event) {
    const box = this.stage.getBoundingClientRect();
    return [(event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width];
  }

  all() {
    this.look({ rows: [0, this.shape[0]], columns: [0, this.shape[1]] });
  }

  move(down, across) {
    const shifted = ([first, end], share, size) => {
      const by = Math.max(-first, Math.min(size - end, share * (end - first)));
      return [first + by, end + by];
    };
    this.look({
      rows: shifted(this.view.rows, down, this.shape[0]),
      columns: shifted(this.view.columns, across, this.shape[1]),
    });
  }

  zoom(factor, [down, across] = [0.5, 0.5]) {
    const scaled = ([first, end], centre, size) => {
      const length = Math.min(Math.max((end - first) * factor, Math.min(CLOSEST, size)), size);
      const start = Math.max(0, Math.min(size - length, first + centre * (end - first - length)));
      return [start, start + length];
    };
    this.look({
      rows: scaled(this.view.rows, down, this.shape[0]),
      columns: scaled(this.view.columns, across, this.shape[1]),
    });
  }

  look(view, told = false) {
    this.view = view;
    this.place();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), 60);
    if (!told) for (const other of this.followers) other.look(other.fit(view, this.shape), true);
  }

  /** The same part of a layer of another shape. */
  fit(view, shape) {
    const scaled = ([first, end], from, to) => [(first / from) * to, (end / from) * to];
    return {
      rows: scaled(view.rows, shape[0], this.shape[0]),
      columns: scaled(view.columns, shape[1], this.shape[1]),
    };
  }

  /** Put the tiles that are there where the window wants them, until the finer ones come. */
  place() {
    const put = (name, extent, [first, end], [from, to], size) => {
      const scale = size / (end - first);
      this.image.setAttribute(name, (from - first) * scale);
      this.image.setAttribute(extent, (to - from) * scale);
    };
    put("x", "width", this.view.columns, this.drawn.columns, this.size[0]);
    put("y", "height", this.view.rows, this.drawn.rows, this.size[1]);
  }

  async ask() {
    this.asking.abort();
    this.asking = new AbortController();
    const range = ([first, end]) => `${Math.floor(first)}-${Math.ceil(end)}`;
    const query = new URLSearchParams({
      mode: this.mode, rows: range(this.view.rows), columns: range(this.view.columns),
    });
    try {
      const answer = await fetch(`${this.part.dataset.tiles}?${query}`, { signal: this.asking.signal });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      this.show(await answer.json());
      if (!("linked" in this.part.dataset)) history.replaceState(null, "", `?${query}`);
    } catch (error) {
      if (error.name !== "AbortError") this.tell("reading", "The server does not answer.");
    }
  }

  show(tiles) {
    this.tiles = tiles;
    this.drawn = { rows: tiles.rows, columns: tiles.columns };
    this.image.setAttribute("href", tiles.image);
    this.place();
    const between = ([first, end]) => `${whole.format(first)} to ${whole.format(end - 1)}`;
    this.tell("where", `outputs ${between(tiles.rows)} (down), inputs ${between(tiles.columns)} (across)`);
    this.tell("caption", tiles.caption);
  }

  tell(name, text) {
    const place = this.part.querySelector(`[data-${name}]`);
    if (place) place.textContent = text;
  }

  /** Say which edges are under the pointer. */
  read(event) {
    if (!this.tiles) {
      if (!this.loading) this.loading = this.ask();
      return;
    }
    const { rows, columns, side, counts } = this.tiles;
    const [down, across] = this.at(event);
    const under = ([first, end], share) => first + share * (end - first);
    const row = Math.floor((under(this.view.rows, down) - rows[0]) / side);
    const column = Math.floor((under(this.view.columns, across) - columns[0]) / side);
    const count = counts[row]?.[column];
    if (count === undefined) return;
    const block = ([first, end], place) => [first + place * side, Math.min(first + (place + 1) * side, end)];
    const [top, bottom] = block(rows, row);
    const [left, right] = block(columns, column);
    const cells = (bottom - top) * (right - left);
    const span = (from, to) => (to - from === 1 ? whole.format(from) : `${whole.format(from)} to ${whole.format(to - 1)}`);
    const kept = cells === 1 ? (count ? "kept" : "not kept") : `${whole.format(count)} of ${whole.format(cells)} edges`;
    this.tell("reading", `output ${span(top, bottom)}, input ${span(left, right)}: ${kept}`);
  }
}

function numbers(text) {
  return text.split(" ").map(Number);
}

const viewers = [...document.querySelectorAll("[data-tiles]")].map((part) => new Viewer(part));
const linked = viewers.filter((viewer) => "linked" in viewer.part.dataset);
for (const viewer of linked) viewer.followers = linked.filter((other) => other !== viewer);
