/* One run on a memory map: what each block is at a time, since when and why. Decodes what
   sim/report/memory_map/encoding.py writes. */
(function () {
  "use strict";
  const report = window.memhpReport, shown = report.shown;
  const ABSENT = -2, SEVERAL = -1, MOVABLE = 3, OFFLINE = 4, PARTLY = 8, STAYS = 20;
  const GIB = 2 ** 30, MIB = 2 ** 20;
  const FRAMES = 40; /* states that are kept, to go back without beginning anew */

  function unpack(text) {
    const values = [];
    for (const part of text ? text.split(",") : []) {
      const [value, times] = part.split("*");
      for (let left = times ? Number(times) : 1; left > 0; left -= 1) { values.push(Number(value)); }
    }
    return values;
  }
  function summed(values) {
    let sum = 0;
    return values.map((value) => (sum += value));
  }
  function size(bytes) {
    return Math.abs(bytes) >= GIB ? `${shown(bytes / GIB)} GiB` : `${shown(bytes / MIB)} MiB`;
  }
  function whole(state) { return state >= PARTLY && state < STAYS ? state - PARTLY : state; }
  function isOnline(state) { const zone = whole(state); return zone >= SEVERAL && zone <= MOVABLE; }

  function Run(data) {
    this.data = data;
    this.label = data.label;
    this.seconds = data.tick / 1e6;
    const t = summed(unpack(data.t)), count = unpack(data.count), state = unpack(data.state), device = unpack(data.device), why = unpack(data.why);
    const args = unpack(data.args), steps = unpack(data.steps), places = data.texts.map((text) => (text.match(/[\u0001\u0002]/g) || []).length);
    const before = new Map();
    let end = 0, atArg = 0, atStep = 0;
    this.changes = unpack(data.first).map((gap, index) => {
      const change = { t: t[index] * this.seconds, first: end + gap, count: count[index], state: state[index], device: device[index], why: why[index], args: [], steps: [] };
      end = change.first + change.count;
      if (change.why >= 0) {
        const known = before.get(change.why) || [];
        for (let place = 0; place < places[change.why]; place += 1) { change.args.push((known[place] || 0) + args[atArg++]); }
        for (let place = 0; place < places[change.why]; place += 1) { change.steps.push(change.count > 1 ? steps[atStep++] : 0); }
        before.set(change.why, change.args);
      }
      return change;
    });
    const whyOfMark = unpack(data.marks.why), argsOfMark = unpack(data.marks.args), grave = unpack(data.marks.grave);
    let atMark = 0;
    this.marks = summed(unpack(data.marks.t)).map((tick, index) => {
      const own = argsOfMark.slice(atMark, atMark + places[whyOfMark[index]]);
      atMark += own.length;
      return { t: tick * this.seconds, text: this.filled(whyOfMark[index], own), grave: grave[index] === 1 };
    });
    this.headroom = data.headroom ? summed(unpack(data.headroom)) : null;
    this.end = data.end * this.seconds;
  }

  /* The ranges of blocks that ever are there, as [first, count]. */
  Run.prototype.ranges = function () {
    return [...this.data.boot.map((run) => [run[0], run[1]]), ...this.changes.map((change) => [change.first, change.count])];
  };
  Run.prototype.moments = function () {
    return [...this.changes.map((change) => change.t), ...this.marks.map((mark) => mark.t)];
  };

  Run.prototype.filled = function (why, args) {
    let place = 0;
    return this.data.texts[why].replaceAll("\u0001 pages", "\u0001").replace(/[\u0001\u0002]/g, (kind) => {
      const value = args[place++];
      return kind === "\u0001" ? size(value * this.data.page) : value.toLocaleString("en-US");
    });
  };

  /* Begins on the axis of blocks that all runs share. */
  Run.prototype.begin = function (axis) {
    this.axis = axis;
    this.frames = new Map();
    this.stride = Math.max(200, Math.ceil(this.changes.length / FRAMES));
    this.restart();
  };
  Run.prototype.restart = function () {
    const total = this.axis.total;
    this.state = new Int8Array(total).fill(ABSENT);
    this.placed = new Int32Array(total).fill(-1); /* the change that brought it there; -1: boot */
    this.asked = new Int32Array(total).fill(-1); /* the change that tells of its last refusal since */
    for (const [first, count, state] of this.data.boot) {
      const at = this.axis.indexOf(first);
      this.state.fill(state, at, at + count);
    }
    this.kernel = this.data.kernel;
    this.movable = this.data.movable;
    this.next = 0;
    this.touched = [];
  };
  Run.prototype.keep = function () {
    if (this.frames.has(this.next)) { return; }
    this.frames.set(this.next, { state: this.state.slice(), placed: this.placed.slice(), asked: this.asked.slice(), kernel: this.kernel, movable: this.movable });
  };
  Run.prototype.restore = function (next) {
    const frame = this.frames.get(next);
    Object.assign(this, { state: frame.state.slice(), placed: frame.placed.slice(), asked: frame.asked.slice(), kernel: frame.kernel, movable: frame.movable, next: next });
  };

  Run.prototype.seek = function (t) {
    if (this.next && this.changes[this.next - 1].t > t) {
      const kept = [...this.frames.keys()].filter((next) => !next || this.changes[next - 1].t <= t);
      if (kept.length) { this.restore(Math.max(...kept)); } else { this.restart(); }
    }
    this.t = t;
    this.touched = [];
    while (this.next < this.changes.length && this.changes[this.next].t <= t) {
      if (this.next % this.stride === 0) { this.keep(); }
      this.apply(this.next);
      this.next += 1;
    }
  };
  Run.prototype.apply = function (number) {
    const change = this.changes[number], first = this.axis.indexOf(change.first), bytes = this.data.block;
    for (let at = first; at < first + change.count; at += 1) {
      if (change.state === STAYS) { this.asked[at] = number; continue; }
      const before = this.state[at];
      this.state[at] = change.state;
      if (whole(before) !== whole(change.state)) {
        if (isOnline(before)) { if (whole(before) === MOVABLE) { this.movable -= bytes; } else { this.kernel -= bytes; } }
        if (isOnline(change.state)) { if (whole(change.state) === MOVABLE) { this.movable += bytes; } else { this.kernel += bytes; } }
        this.placed[at] = number;
        this.asked[at] = -1;
      }
      this.touched.push(at);
    }
  };

  /* What holds at the time, in words. */
  Run.prototype.facts = function () {
    const ratio = this.kernel ? `${shown(100 * this.movable / this.kernel)} %` : "∞";
    const parts = [`MOVABLE ${size(this.movable)}, KERNEL ${size(this.kernel)}: ratio ${ratio}`];
    if (this.headroom) {
      const column = Math.min(Math.floor(this.t / this.end * this.headroom.length), this.headroom.length - 1);
      parts.push(`kernel headroom about ${size(this.headroom[column] * MIB)}`);
    }
    return `${parts.join("; ")}.`;
  };
  Run.prototype.lastMark = function () {
    let last = null;
    for (const mark of this.marks) { if (mark.t > this.t) { break; } last = mark; }
    return last;
  };
  Run.prototype.dead = function () {
    const death = this.marks.find((mark) => mark.t <= this.t && mark.text === "the guest dies");
    return death ? `The guest died at ${report.time(death.t)}. ` : "";
  };

  const NAMES = { "-2": "not there", "-1": "several zones", 0: "DMA", 1: "DMA32", 2: "Normal", 3: "Movable", 4: "offline" };
  Run.prototype.why = function (number, block) {
    const change = this.changes[number];
    if (change.why < 0) { return null; }
    return this.filled(change.why, change.args.map((arg, place) => arg + (block - change.first) * change.steps[place]));
  };
  Run.prototype.told = function (at) {
    const block = this.axis.blockOf(at), state = this.state[at], zone = whole(state), placed = this.placed[at];
    const change = placed >= 0 ? this.changes[placed] : null, boot = this.data.boot.find((run) => run[0] <= block && block < run[0] + run[1]);
    const address = `at ${size(block * this.data.block)} (0x${(BigInt(block) * BigInt(this.data.block)).toString(16)})`;
    const device = change && change.device >= 0 ? this.data.devices[change.device] : boot ? "boot memory" : "no device";
    const node = change && change.device >= 0 ? this.data.nodes[change.device] : boot ? boot[3] : 0;
    const parts = [`Block ${block} ${address}, ${device}, node ${node}.`];
    const since = change ? `since ${report.time(change.t)}` : "since boot";
    parts.push(`${NAMES[zone]}${state >= PARTLY && state < STAYS ? ", partly unplugged," : ""} ${since}.`.replace(/^./, (letter) => letter.toUpperCase()));
    if (change) {
      const why = this.why(placed, block);
      if (why) { parts.push(`Why: ${why}.`); } else if (isOnline(state) && this.data.unknown) { parts.push(`Why is not known: ${this.data.unknown}`); }
    }
    if (this.asked[at] >= 0) { parts.push(`At ${report.time(this.changes[this.asked[at]].t)} ${this.why(this.asked[at], block)}.`); }
    return parts.join(" ");
  };

  /* An axis of all blocks that are there in any of the runs, gaps left out. */
  function Axis(runs) {
    const ranges = runs.flatMap((run) => run.ranges()).sort((a, b) => a[0] - b[0]);
    this.parts = [];
    let total = 0;
    for (const [first, count] of ranges) {
      const last = this.parts[this.parts.length - 1];
      if (last && first <= last.first + last.count) {
        const more = Math.max(0, first + count - last.first - last.count);
        last.count += more;
        total += more;
      } else {
        this.parts.push({ first: first, count: count, at: total });
        total += count;
      }
    }
    this.total = total;
  }
  Axis.prototype.find = function (key, value) {
    let low = 0, high = this.parts.length - 1;
    while (low < high) { const middle = (low + high + 1) >> 1; if (this.parts[middle][key] <= value) { low = middle; } else { high = middle - 1; } }
    return this.parts[low];
  };
  Axis.prototype.indexOf = function (block) { const part = this.find("first", block); return part.at + block - part.first; };
  Axis.prototype.blockOf = function (at) { const part = this.find("at", at); return part.first + at - part.at; };
  Axis.prototype.begins = function (at) { return at > 0 && this.find("at", at).at === at; };

  /* When two runs first have a block online in different zones: the time and the block's place, or null. */
  report.parting = function (one, other, moments) {
    for (const run of [one, other]) { run.restart(); }
    for (const t of moments) {
      one.seek(t);
      const touched = one.touched;
      other.seek(t);
      for (const at of [...touched, ...other.touched]) {
        const a = one.state[at], b = other.state[at];
        if (isOnline(a) && isOnline(b) && whole(a) !== whole(b)) { return { t: t, at: at }; }
      }
    }
    return null;
  };
  report.time = function (seconds) {
    const about = (value, digits) => value.toLocaleString("en-US", { maximumFractionDigits: digits });
    if (seconds < 600) { return `${about(seconds, seconds < 60 ? 3 : 1)} s`; }
    const minutes = Math.floor(seconds / 60), hours = Math.floor(minutes / 60), days = Math.floor(hours / 24);
    const rest = `${about(seconds - minutes * 60, 1)} s`;
    if (!hours) { return `${minutes} min ${rest}`; }
    return days ? `${days} d ${hours % 24} h ${minutes % 60} min` : `${hours} h ${minutes % 60} min ${rest}`;
  };
  report.Run = Run;
  report.Axis = Axis;
  report.states = { ABSENT: ABSENT, MOVABLE: MOVABLE, OFFLINE: OFFLINE, PARTLY: PARTLY, STAYS: STAYS, whole: whole };
})();
