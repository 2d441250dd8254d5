/* The memory map: two policies side by side at one time, blocks in address order, and the decision under the cursor. */
(function () {
  "use strict";
  const report = window.memhpReport, element = report.element, states = report.states, whole = states.whole;
  const MOST_CELLS = 6000; /* squares beyond which each stands for several blocks */
  const PLAYED = 15; /* seconds in which a run is played */

  function BlockMap(root) {
    this.root = root;
    this.live = root.querySelector(".map-live");
    this.live.hidden = false;
    root.querySelector(".map-needs").remove();
    this.data = JSON.parse(document.getElementById(root.dataset.map).textContent);
    this.runs = this.data.runs.map((run) => new report.Run(run));
    this.axis = new report.Axis(this.runs);
    for (const run of this.runs) { run.begin(this.axis); }
    this.per = Math.max(1, Math.ceil(this.axis.total / MOST_CELLS));
    this.cells = Math.ceil(this.axis.total / this.per);
    this.at = 0; /* the cell under the cursor */
    this.views = [];
    this.controls();
    const both = element("div", { class: "map-pair" }, this.live);
    for (const number of this.runs.length > 1 ? [0, 1] : [0]) { this.views.push(this.side(both, number)); }
    this.choose();
    this.go(this.moments.length - 1);
    new ResizeObserver(() => this.draw()).observe(both);
    document.addEventListener("memhp:colours", () => { this.colours = null; this.draw(); });
  }

  BlockMap.prototype.controls = function () {
    const title = this.root.dataset.title;
    const bar = element("div", { class: "map-controls" }, this.live);
    const button = (text, label, act) => {
      const made = element("button", { type: "button", text: text, "aria-label": `${label}: ${title}` }, bar);
      made.addEventListener("click", act);
      return made;
    };
    this.play = button("▶ Play", "Play", () => (this.timer ? this.stop() : this.start()));
    button("‹ Before", "Event before", () => { this.stop(); this.go(this.moment - 1); });
    button("Next ›", "Next event", () => { this.stop(); this.go(this.moment + 1); });
    if (this.runs.length > 1) { this.part = button("Where they part", "Where they part", () => { this.stop(); this.toParting(); }); }
    const row = element("div", { class: "map-time" }, this.live);
    this.slider = element("input", { type: "range", min: 0, step: 1, value: 0, "aria-label": `Event in time: ${title}` }, row);
    this.slider.addEventListener("input", () => { this.stop(); this.go(Number(this.slider.value)); });
    this.clock = element("output", { class: "map-clock" }, row);
    this.happens = element("p", { class: "map-happens" }, this.live);
  };

  BlockMap.prototype.side = function (both, number) {
    const box = element("div", { class: "map-side" }, both), view = { number: number };
    const label = element("label", { text: this.runs.length > 1 ? (number ? "beside it " : "Policy ") : "Policy " }, box);
    view.select = element("select", {}, label);
    this.runs.forEach((run, index) => element("option", { value: index, text: run.label }, view.select));
    view.select.value = number ? this.data.right : this.data.left;
    view.select.addEventListener("change", () => this.choose());
    view.facts = element("p", { class: "map-facts" }, box);
    view.canvas = element("canvas", { class: "map-canvas", tabindex: 0, role: "application", "aria-roledescription": "memory map" }, box);
    view.told = element("p", { class: "map-told", "aria-live": "off" }, box);
    /* Read aloud from block to block, not while time is scrubbed. */
    view.canvas.addEventListener("focus", () => view.told.setAttribute("aria-live", "polite"));
    view.canvas.addEventListener("blur", () => view.told.setAttribute("aria-live", "off"));
    view.canvas.addEventListener("pointermove", (event) => this.point(view, event));
    view.canvas.addEventListener("pointerdown", (event) => this.point(view, event));
    view.canvas.addEventListener("keydown", (event) => this.key(view, event));
    return view;
  };

  BlockMap.prototype.choose = function () {
    for (const view of this.views) { view.run = this.runs[Number(view.select.value)]; }
    for (const view of this.views) {
      view.canvas.setAttribute("aria-label", `Blocks under ${view.run.label}. Arrow keys go from block to block, Page Up and Page Down through time.`);
    }
    const t = this.moments ? this.moments[this.moment] : Infinity;
    this.moments = [...new Set([0, ...this.views.flatMap((view) => view.run.moments()), Math.max(...this.views.map((view) => view.run.end))])].sort((a, b) => a - b);
    this.slider.max = this.moments.length - 1;
    this.parted = undefined;
    let moment = this.moments.length - 1;
    while (moment > 0 && this.moments[moment] > t) { moment -= 1; }
    this.go(moment);
  };

  BlockMap.prototype.go = function (moment) {
    this.moment = Math.min(Math.max(0, moment), this.moments.length - 1);
    const t = this.moments[this.moment], time = report.time(t);
    for (const run of new Set(this.views.map((view) => view.run))) { run.seek(t); }
    this.slider.value = this.moment;
    this.clock.textContent = `${time} of ${report.time(this.moments[this.moments.length - 1])}`;
    this.slider.setAttribute("aria-valuetext", `${time}, event ${this.moment + 1} of ${this.moments.length}`);
    const last = this.views.map((view) => view.run.lastMark());
    const say = (mark) => (mark ? `at ${report.time(mark.t)} ${mark.text}` : "nothing yet");
    const same = last.every((mark) => say(mark) === say(last[0]));
    this.happens.textContent = `Last: ${same ? say(last[0]) : last.map((mark, place) => `${this.views[place].run.label}: ${say(mark)}`).join("; ")}.`;
    this.happens.classList.toggle("bad", last.some((mark) => mark && mark.grave));
    this.draw();
  };

  BlockMap.prototype.toParting = function () {
    if (this.parted === undefined) {
      this.parted = report.parting(this.views[0].run, this.views[1].run, this.moments);
    }
    if (!this.parted) {
      this.go(this.moment);
      this.happens.textContent = "These two never have a block in different zones.";
      return;
    }
    this.at = Math.floor(this.parted.at / this.per);
    this.go(this.moments.indexOf(this.parted.t));
    this.views[0].canvas.focus();
  };

  BlockMap.prototype.start = function () {
    const step = Math.max(1, Math.round(this.moments.length / (PLAYED * 20)));
    if (this.moment >= this.moments.length - 1) { this.go(0); }
    this.play.textContent = "❚❚ Pause";
    this.timer = window.setInterval(() => {
      this.go(this.moment + step);
      if (this.moment >= this.moments.length - 1) { this.stop(); }
    }, 50);
  };
  BlockMap.prototype.stop = function () {
    window.clearInterval(this.timer);
    this.timer = null;
    this.play.textContent = "▶ Play";
  };

  BlockMap.prototype.palette = function () {
    if (this.colours) { return this.colours; }
    const style = getComputedStyle(this.root), of = (name) => style.getPropertyValue(name).trim();
    /* light-dark() is worked out for a property that is a colour, not for a variable. */
    /* Where colours are forced, zones keep theirs: in a single one nothing would be told apart. */
    const probe = element("span", {}, this.root);
    probe.style.forcedColorAdjust = "none";
    const resolved = (name) => { probe.style.color = `var(${name})`; return getComputedStyle(probe).color; };
    this.colours = {};
    for (const name of ["--zone-several", "--zone-0", "--zone-1", "--zone-2", "--zone-3", "--zone-offline", "--zone-absent", "--bad", "--focus", "--ground"]) {
      this.colours[name] = of(name) ? resolved(name) : "";
    }
    probe.remove();
    return this.colours;
  };

  BlockMap.prototype.draw = function () {
    for (const view of this.views) { if (view.run && view.run.t !== undefined) { this.paint(view); } }
  };

  BlockMap.prototype.layout = function (view) {
    const wide = view.canvas.parentElement.clientWidth;
    view.size = Math.min(16, Math.max(4, Math.floor(Math.sqrt(wide * 260 / this.cells))));
    view.columns = Math.max(1, Math.floor(wide / view.size));
    view.rows = Math.ceil(this.cells / view.columns);
    const ratio = window.devicePixelRatio || 1, canvas = view.canvas;
    const width = view.columns * view.size, height = view.rows * view.size;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    return pen;
  };

  BlockMap.prototype.paint = function (view) {
    const pen = this.layout(view), run = view.run, colours = this.palette(), size = view.size, gap = size > 6 ? 2 : 1, side = size - gap;
    for (let cell = 0; cell < this.cells; cell += 1) {
      const x = cell % view.columns * size, y = Math.floor(cell / view.columns) * size;
      const from = cell * this.per, to = Math.min(from + this.per, this.axis.total);
      if (this.per === 1) { this.block(pen, colours, run, from, x, y, side); } else { this.mixed(pen, colours, run, from, to, x, y, side); }
      if (this.axis.begins(from)) { pen.fillStyle = colours["--bad"]; pen.fillRect(x - gap / 2 - 0.5, y, 1, side); }
      if (cell === this.at) { view.cursor = [x, y, side]; }
    }
    const [x, y] = view.cursor;
    pen.lineWidth = 2;
    pen.strokeStyle = colours["--focus"];
    pen.strokeRect(x - 1, y - 1, side + 2, side + 2);
    view.facts.textContent = run.dead() + run.facts();
    view.facts.classList.toggle("bad", run.dead() !== "");
    view.told.textContent = this.told(run);
  };

  function colourOf(colours, zone) {
    return colours[zone === -1 ? "--zone-several" : zone === states.OFFLINE ? "--zone-offline" : zone === states.ABSENT ? "--zone-absent" : `--zone-${zone}`];
  }
  BlockMap.prototype.block = function (pen, colours, run, at, x, y, side) {
    const state = run.state[at], zone = whole(state);
    pen.fillStyle = pen.strokeStyle = colourOf(colours, zone);
    if (zone === states.ABSENT) {
      pen.fillRect(x + side / 2 - 0.5, y + side / 2 - 0.5, 1, 1);
    } else if (zone === states.OFFLINE) {
      pen.lineWidth = 1;
      pen.strokeRect(x + 0.5, y + 0.5, side - 1, side - 1);
    } else if (state >= states.PARTLY) {
      pen.fillRect(x, y + side / 2, side, side / 2);
      pen.lineWidth = 1;
      pen.strokeRect(x + 0.5, y + 0.5, side - 1, side - 1);
    } else {
      pen.fillRect(x, y, side, side);
    }
    if (run.asked[at] >= 0) {
      /* On a rim of the ground's colour, as red is hard to see on dark zones. */
      for (const [colour, wide] of [["--ground", Math.min(5, side)], ["--bad", Math.min(2, side / 2)]]) {
        pen.strokeStyle = colours[colour];
        pen.lineWidth = wide;
        pen.beginPath();
        pen.moveTo(x, y);
        pen.lineTo(x + side, y + side);
        pen.stroke();
      }
    }
  };
  /* Several blocks in a square: as wide as their shares. */
  BlockMap.prototype.mixed = function (pen, colours, run, from, to, x, y, side) {
    const counts = new Map();
    for (let at = from; at < to; at += 1) { const zone = whole(run.state[at]); counts.set(zone, (counts.get(zone) || 0) + 1); }
    let left = x;
    for (const zone of [2, 1, 0, -1, 3, states.OFFLINE, states.ABSENT]) {
      const wide = (counts.get(zone) || 0) / (to - from) * side;
      if (!wide) { continue; }
      pen.fillStyle = colourOf(colours, zone);
      if (zone === states.ABSENT) { pen.fillRect(left + wide / 2 - 0.5, y + side / 2 - 0.5, 1, 1); } else { pen.fillRect(left, y, wide, side); }
      left += wide;
    }
  };

  BlockMap.prototype.told = function (run) {
    const from = this.at * this.per, to = Math.min(from + this.per, this.axis.total);
    if (this.per === 1) { return run.told(from); }
    const counts = {};
    const names = { "-2": "not there", "-1": "in several zones", 0: "in DMA", 1: "in DMA32", 2: "in Normal", 3: "in Movable", 4: "offline" };
    for (let at = from; at < to; at += 1) { const name = names[whole(run.state[at])]; counts[name] = (counts[name] || 0) + 1; }
    const shares = Object.entries(counts).map(([name, count]) => `${count} ${name}`).join(", ");
    return `Blocks ${this.axis.blockOf(from)} to ${this.axis.blockOf(to - 1)}: ${shares}. The first of them: ${run.told(from)}`;
  };

  BlockMap.prototype.point = function (view, event) {
    const box = view.canvas.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left) / view.size), row = Math.floor((event.clientY - box.top) / view.size);
    const cell = row * view.columns + column;
    if (column < 0 || column >= view.columns || cell < 0 || cell >= this.cells || cell === this.at) { return; }
    this.at = cell;
    this.draw();
  };
  BlockMap.prototype.key = function (view, event) {
    if (event.ctrlKey || event.metaKey || event.altKey) { return; }
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -view.columns, ArrowDown: view.columns };
    if (event.key in steps) {
      const next = this.at + steps[event.key];
      if (next >= 0 && next < this.cells) { this.at = next; }
    } else if (event.key === "Home") { this.at = 0; } else if (event.key === "End") { this.at = this.cells - 1;
    } else if (event.key === "PageUp") { this.go(this.moment - 1); } else if (event.key === "PageDown") { this.go(this.moment + 1);
    } else { return; }
    event.preventDefault();
    this.draw();
  };

  report.whenSeen(".memory-map", (root) => { root.map = new BlockMap(root); });
})();
