/* Charts that zoom: time by drag, wheel (with Ctrl, Cmd or Alt), pinch, buttons and keys; what stands under the cursor
   is read from the paths that are drawn. Each chart begins when it comes into sight. */
(function () {
  "use strict";
  const LEAST = 1 / 400; /* of the whole axis: as near as zooming goes */
  const report = window.memhpReport, element = report.element, shown = report.shown;

  function ticks(low, high, about, whole) {
    const span = high - low;
    if (!(span > 0)) { return []; }
    const raw = span / about, power = 10 ** Math.floor(Math.log10(raw));
    const steps = [1, 2, 2.5, 5, 10].map((each) => each * power).filter((each) => !whole || (each >= 1 && Number.isInteger(each)));
    const step = steps.find((each) => each >= raw * (1 - 1e-9)) || steps.pop() || 1;
    const found = [];
    for (let at = Math.ceil(low / step - 1e-9); at <= Math.floor(high / step + 1e-9); at += 1) { found.push(at * step); }
    return found;
  }
  function tickText(value) {
    return Number(value.toPrecision(6)).toLocaleString("en-US", { maximumFractionDigits: 9 });
  }
  /* Whether the texts below an axis of so many pixels would touch; a digit takes about eight. */
  function crowded(places, low, high, room) {
    const ends = places.map((at) => [(at - low) / (high - low) * room, tickText(at).length * 4 + 4]);
    return ends.some(([middle, half], place) => place > 0 && middle - half < ends[place - 1][0] + ends[place - 1][1]);
  }
  /* A path of M, h and v as points; a band is split where it turns back. */
  function points(d) {
    const there = [], back = [];
    let x = 0, y = 0, into = there;
    for (const part of d.matchAll(/([Mhv])\s*(-?[\d.]+)(?:\s+(-?[\d.]+))?/g)) {
      const value = Number(part[2]);
      if (part[1] === "M") { x = value; y = Number(part[3]); there.push({ x: x, y: y, begins: true }); continue; }
      if (part[1] === "h" && value < 0 && into === there) {
        into = back;
        back.push({ x: x, y: y });
      }
      if (part[1] === "h") { x += value; } else { y += value; }
      into.push({ x: x, y: y });
    }
    return { there: there, back: back.reverse() };
  }
  /* The height at column x: of the last point that is not beyond it, unless the line is broken there. */
  function heightAt(line, x) {
    let low = 0, high = line.length;
    while (low < high) { const middle = (low + high) >> 1; if (line[middle].x <= x) { low = middle + 1; } else { high = middle; } }
    if (!low || (low === line.length && x > line[low - 1].x)) { return null; }
    if (low < line.length && line[low].begins && line[low - 1].x < x) { return null; }
    return line[low - 1].y;
  }

  function Chart(figure) {
    this.figure = figure;
    this.lines = figure.dataset.kind === "lines";
    this.body = figure.querySelector(".panels");
    this.title = figure.querySelector("figcaption strong").textContent;
    this.view = { from: 0, to: 1 }; /* shares of the horizontal axis */
    this.cursor = null;
    this.panels = [...figure.querySelectorAll(".panel")].map((panel) => this.readPanel(panel));
    this.hidden = new Set();
    this.tools();
    this.legend();
    this.body.tabIndex = 0;
    this.body.setAttribute("role", "group");
    this.body.setAttribute("aria-roledescription", "chart that zooms");
    this.body.setAttribute("aria-label", this.title + ". Left and right read values, plus and minus zoom, 0 shows all.");
    this.body.addEventListener("keydown", (event) => this.key(event));
    for (const panel of this.panels) { report.pointer(this, panel); }
    figure.classList.add("active");
    new ResizeObserver(() => this.panels.forEach((panel) => this.axes(panel))).observe(this.body);
  }

  Chart.prototype.readPanel = function (panel) {
    const plot = panel.querySelector(".plot"), own = panel.dataset, inner = plot.querySelector(".inner");
    const box = inner.viewBox.baseVal;
    const found = {
      panel: panel, plot: plot, inner: inner, unit: own.unit, width: box.width, height: box.height,
      low: Number(own.low ?? this.figure.dataset.low), high: Number(own.high ?? this.figure.dataset.high),
      bottom: Number(own.bottom), top: Number(own.top), whole: own.whole !== undefined, across: plot.classList.contains("rows"),
      ticks: plot.querySelector(".ticks"), grid: inner.querySelector(".grid"), name: panel.querySelector(".name").textContent,
      marks: [...plot.querySelectorAll(".mark")], rows: [...plot.querySelectorAll("[data-told]")], series: [],
    };
    found.y = { from: 0, to: 1 }; /* shares of the height that are shown, from above */
    for (const line of inner.querySelectorAll(".line")) {
      const band = inner.querySelector(`.band[data-series="${line.dataset.series}"]`);
      const ends = band ? points(band.getAttribute("d")) : null;
      found.series.push({ id: line.dataset.series, name: line.dataset.name, line: line, band: band, mean: points(line.getAttribute("d")).there, ends: ends });
    }
    return found;
  };

  Chart.prototype.tools = function () {
    const tools = element("div", { class: "chart-tools" });
    const make = (text, label, act) => {
      const button = element("button", { type: "button", text: text, "aria-label": `${label}: ${this.title}` }, tools);
      button.addEventListener("click", act);
      return button;
    };
    make("+", "Zoom in", () => this.zoom(0.5));
    make("−", "Zoom out", () => this.zoom(2));
    this.whole = make("All", "Show all", () => this.show(0, 1));
    this.reading = element("p", { class: "reading", text: "Drag over a part to zoom in; point at it to read values." }, tools);
    this.spoken = element("p", { class: "unseen", role: "status" }, tools);
    this.body.before(tools);
    this.whole.disabled = true;
    if (this.lines) { report.values(this); }
  };

  Chart.prototype.legend = function () {
    this.keys = new Map();
    const several = this.panels.length > 1;
    for (const item of this.figure.querySelectorAll(".legend li")) {
      const id = item.dataset.series;
      if (Number(id) < 0 || !this.lines || several) { continue; }
      const button = element("button", { type: "button", "aria-pressed": "true" });
      button.append(...item.childNodes);
      item.append(button);
      this.keys.set(id, element("span", { class: "value" }, item));
      button.addEventListener("click", () => {
        const on = !this.hidden.delete(id);
        if (on) { this.hidden.add(id); }
        button.setAttribute("aria-pressed", String(!on));
        this.draw();
      });
      for (const [name, picked] of [["pointerenter", true], ["focus", true], ["pointerleave", false], ["blur", false]]) {
        button.addEventListener(name, () => this.pick(picked ? id : null));
      }
    }
    for (const panel of this.panels) {
      panel.value = element("span", { class: "value" }, panel.panel.querySelector(".panel-title"));
    }
  };

  Chart.prototype.pick = function (id) {
    for (const series of this.panels[0].series) {
      series.line.classList.toggle("dimmed", id !== null && series.id !== id);
      if (series.band) { series.band.classList.toggle("picked", series.id === id); }
    }
  };

  Chart.prototype.show = function (from, to) {
    const width = Math.min(1, Math.max(LEAST, to - from));
    const start = Math.min(Math.max(0, from), 1 - width);
    this.view = { from: start, to: start + width };
    this.whole.disabled = width === 1;
    this.draw();
  };
  Chart.prototype.zoom = function (by, about) {
    const view = this.view, at = about ?? (this.cursor !== null && this.lines ? this.cursor : (view.from + view.to) / 2);
    this.show(at - (at - view.from) * by, at + (view.to - at) * by);
  };

  /* Where the lines that are shown reach in view, as shares of the height from above: all of it when nothing is zoomed. */
  Chart.prototype.reach = function (panel) {
    if (!this.lines || (this.view.from === 0 && this.view.to === 1 && !this.hidden.size)) { return { from: 0, to: 1 }; }
    let highest = panel.height, lowest = 0;
    for (const series of panel.series) {
      if (this.hidden.has(series.id)) { continue; }
      for (const line of series.ends ? [series.mean, series.ends.there, series.ends.back] : [series.mean]) {
        const from = this.view.from * panel.width, to = this.view.to * panel.width;
        const seen = line.filter((each) => each.x >= from && each.x <= to).map((each) => each.y);
        const before = heightAt(line, from);
        if (before !== null) { seen.push(before); }
        for (const y of seen) { highest = Math.min(highest, y); lowest = Math.max(lowest, y); }
      }
    }
    if (lowest < highest) { return { from: 0, to: 1 }; }
    const room = Math.max((lowest - highest) * 0.06, panel.height / 200);
    return { from: Math.max(0, highest - room) / panel.height, to: Math.min(panel.height, lowest + room) / panel.height };
  };

  Chart.prototype.draw = function () {
    const view = this.view, wide = view.to - view.from;
    for (const panel of this.panels) {
      panel.y = this.reach(panel);
      const tall = panel.y.to - panel.y.from;
      panel.inner.setAttribute("viewBox", `${view.from * panel.width} ${panel.y.from * panel.height} ${wide * panel.width} ${tall * panel.height}`);
      for (const series of panel.series) {
        const off = this.hidden.has(series.id);
        series.line.classList.toggle("off", off);
        if (series.band) { series.band.classList.toggle("off", off); }
      }
      for (const mark of panel.marks) {
        const x = (Number(mark.dataset.x) - view.from) / wide, y = (Number(mark.dataset.y) - panel.y.from) / tall;
        mark.setAttribute("x", `${100 * x}%`);
        mark.setAttribute("y", `${100 * y}%`);
        const off = [...this.hidden].some((id) => mark.classList.contains(`s${id}`));
        mark.classList.toggle("off", x < -0.001 || x > 1.001 || y < -0.001 || y > 1.001 || off);
      }
      this.axes(panel);
    }
    this.cross();
  };

  Chart.prototype.axes = function (panel) {
    const view = this.view, low = panel.low + view.from * (panel.high - panel.low), high = panel.low + view.to * (panel.high - panel.low);
    const value = (share) => panel.top - share * (panel.top - panel.bottom);
    let grid = "";
    panel.ticks.replaceChildren();
    const room = panel.ticks.ownerSVGElement.getBoundingClientRect().width;
    let about = 4;
    while (about > 1 && crowded(ticks(low, high, about, panel.whole), low, high, room)) { about -= 1; }
    for (const at of ticks(low, high, about, panel.whole)) {
      const share = (at - low) / (high - low);
      grid += `M${(view.from + share * (view.to - view.from)) * panel.width} 0v${panel.height}`;
      element("svg:text", { class: "x", x: `${100 * share}%`, y: "100%", dy: 16, text: tickText(at) }, panel.ticks);
    }
    const top = value(panel.y.from), bottom = value(panel.y.to);
    for (const at of panel.across ? [] : ticks(bottom, top, 3)) {
      const share = (top - at) / (top - bottom);
      grid += `M0 ${(panel.y.from + share * (panel.y.to - panel.y.from)) * panel.height}h${panel.width}`;
      element("svg:text", { class: "y", x: 0, y: `${100 * share}%`, dx: -6, dy: 4, text: tickText(at) }, panel.ticks);
    }
    panel.grid.setAttribute("d", grid);
  };

  /* The reading: at a share of the whole axis for lines, at a mark for the others. */
  Chart.prototype.read = function (at, aloud) {
    this.cursor = at === null ? null : Math.min(Math.max(0, at), 1);
    if (this.cursor !== null && (this.cursor < this.view.from || this.cursor > this.view.to)) {
      const wide = this.view.to - this.view.from;
      this.show(this.cursor - wide / 2, this.cursor + wide / 2);
    }
    this.cross();
    const said = this.words();
    if (aloud) { this.spoken.textContent = said; }
  };

  Chart.prototype.cross = function () {
    for (const panel of this.panels) {
      if (!panel.line) { panel.line = element("svg:line", { class: "cross-line off", y1: 0, y2: "100%" }, panel.plot); }
      panel.line.classList.toggle("off", this.cursor === null || !this.lines);
      const x = this.cursor === null ? 0 : 100 * (this.cursor - this.view.from) / (this.view.to - this.view.from);
      panel.line.setAttribute("x1", `${x}%`);
      panel.line.setAttribute("x2", `${x}%`);
    }
  };

  Chart.prototype.valueAt = function (panel, series, share) {
    const column = Math.min(share * panel.width, panel.width - 0.001);
    const value = (line) => { const y = heightAt(line, column); return y === null ? null : panel.top - y / panel.height * (panel.top - panel.bottom); };
    const mean = value(series.mean);
    if (mean === null) { return null; }
    const ends = series.ends ? [value(series.ends.back), value(series.ends.there)] : [mean, mean];
    return { mean: mean, low: ends[0], high: ends[1] };
  };
  Chart.prototype.told = function (panel, series, share) {
    const found = this.valueAt(panel, series, share);
    if (!found) { return "nothing"; }
    const text = `${shown(found.mean)} ${panel.unit}`;
    return found.high > found.low && shown(found.low) !== shown(found.high) ? `${text} (${shown(found.low)} to ${shown(found.high)})` : text;
  };

  Chart.prototype.words = function () {
    if (!this.lines) { return ""; }
    if (this.cursor === null) {
      for (const value of this.keys.values()) { value.textContent = ""; }
      for (const panel of this.panels) { panel.value.textContent = ""; }
      return "";
    }
    const own = this.figure.dataset, at = this.panels[0].low + this.cursor * (this.panels[0].high - this.panels[0].low);
    const when = `At ${Number(at.toPrecision(4)).toLocaleString("en-US")} ${own.xUnit}`;
    this.reading.textContent = when;
    const parts = [];
    for (const panel of this.panels) {
      const shownHere = panel.series.filter((series) => !this.hidden.has(series.id));
      const told = shownHere.map((series) => [series, this.told(panel, series, this.cursor)]);
      for (const [series, text] of told) { if (this.keys.has(series.id)) { this.keys.get(series.id).textContent = text; } }
      if (this.panels.length > 1) { panel.value.textContent = told.map(([series, text]) => `${series.name} ${text}`).join(", "); }
      parts.push((this.panels.length > 1 ? `${panel.name}: ` : "") + told.map(([series, text]) => `${series.name} ${text}`).join(", "));
    }
    return `${when}: ${parts.join("; ")}.`;
  };

  Chart.prototype.readRow = function (panel, row, aloud) {
    for (const each of this.panels) { for (const other of each.rows) { other.classList.toggle("told-now", other === row); } }
    this.at = { panel: panel, row: row };
    const text = row ? (this.panels.length > 1 ? `${panel.name}: ` : "") + row.dataset.told : "";
    this.reading.textContent = text;
    if (aloud) { this.spoken.textContent = text; }
  };

  Chart.prototype.step = function (by) {
    if (this.lines) {
      const step = (this.view.to - this.view.from) / 60;
      this.read(this.cursor === null ? (by > 0 ? this.view.from : this.view.to) : this.cursor + by * step, true);
      return;
    }
    const all = this.panels.flatMap((panel) => panel.rows.map((row) => ({ panel: panel, row: row })));
    const now = this.at ? all.findIndex((each) => each.row === this.at.row) : -1;
    const next = all[Math.min(Math.max(0, now + by), all.length - 1)];
    if (next) { this.readRow(next.panel, next.row, true); }
  };

  Chart.prototype.key = function (event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== this.body) { return; }
    const wide = this.view.to - this.view.from;
    const acts = {
      "+": () => this.zoom(0.5), "=": () => this.zoom(0.5), "-": () => this.zoom(2), "_": () => this.zoom(2), "0": () => this.show(0, 1),
      ArrowLeft: () => (event.shiftKey ? this.show(this.view.from - wide / 4, this.view.to - wide / 4) : this.step(-1)),
      ArrowRight: () => (event.shiftKey ? this.show(this.view.from + wide / 4, this.view.to + wide / 4) : this.step(1)),
      Home: () => this.lines && this.read(0, true), End: () => this.lines && this.read(1, true),
      Escape: () => (this.lines ? this.read(null) : this.readRow(null, null)),
    };
    if (!this.lines) { acts.ArrowUp = () => this.step(-1); acts.ArrowDown = () => this.step(1); }
    if (!(event.key in acts)) { return; }
    event.preventDefault();
    acts[event.key]();
  };

  report.Chart = Chart;
})();
