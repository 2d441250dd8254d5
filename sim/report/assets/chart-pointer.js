/* Mouse and fingers on a chart, and the table of its values. Starts the charts. */
(function () {
  "use strict";
  const report = window.memhpReport, element = report.element, shown = report.shown;
  const MOMENTS = 12; /* rows of the table of values */
  const CLICK = 6; /* pixels up to which a drag is none */

  function shareAt(chart, panel, event) {
    const box = panel.plot.getBoundingClientRect();
    const within = Math.min(Math.max(0, (event.clientX - box.left) / box.width), 1);
    return chart.view.from + within * (chart.view.to - chart.view.from);
  }

  function nearest(panel, event) {
    let best = null, least = Infinity;
    for (const row of panel.rows) {
      const mark = row.querySelector(".mark path"), box = (mark || row).getBoundingClientRect();
      const across = mark ? event.clientX - box.left - box.width / 2 : 0;
      const far = Math.hypot(across, event.clientY - box.top - box.height / 2);
      if (far < least) { least = far; best = row; }
    }
    return best;
  }

  report.pointer = function (chart, panel) {
    const fingers = new Map();
    let begun = null, chosen = null, pinch = null;
    function read(event) {
      if (chart.lines) { chart.read(shareAt(chart, panel, event)); } else { chart.readRow(panel, nearest(panel, event)); }
    }
    function done() {
      if (chosen) { chosen.remove(); }
      begun = chosen = null;
    }
    panel.plot.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey && !event.altKey) { return; } /* the page scrolls */
      event.preventDefault();
      chart.zoom(event.deltaY > 0 ? 1.25 : 0.8, shareAt(chart, panel, event));
    }, { passive: false });
    panel.plot.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "mouse" && event.button !== 0) { return; }
      fingers.set(event.pointerId, event);
      if (fingers.size === 2) {
        done();
        const [one, two] = [...fingers.values()].map((each) => shareAt(chart, panel, each));
        pinch = { one: one, two: two };
      } else if (event.pointerType === "mouse") {
        event.preventDefault();
        chart.body.focus({ preventScroll: true });
        panel.plot.setPointerCapture(event.pointerId);
        begun = { x: event.clientX, at: shareAt(chart, panel, event) };
      } else {
        read(event);
      }
    });
    panel.plot.addEventListener("pointermove", (event) => {
      if (fingers.has(event.pointerId)) { fingers.set(event.pointerId, event); }
      if (pinch && fingers.size === 2) {
        /* What was under the two fingers stays under them. */
        const box = panel.plot.getBoundingClientRect();
        const [a, b] = [...fingers.values()].map((each) => (each.clientX - box.left) / box.width);
        if (Math.abs(b - a) < 0.02) { return; }
        const wide = (pinch.two - pinch.one) / (b - a);
        if (wide > 0) { chart.show(pinch.one - a * wide, pinch.one - a * wide + wide); }
        return;
      }
      read(event);
      if (!begun || Math.abs(event.clientX - begun.x) <= CLICK) { return; }
      if (!chosen) { chosen = element("svg:rect", { class: "chosen", y: 0, height: "100%" }, panel.plot); }
      const wide = chart.view.to - chart.view.from, now = shareAt(chart, panel, event);
      chosen.setAttribute("x", `${100 * (Math.min(begun.at, now) - chart.view.from) / wide}%`);
      chosen.setAttribute("width", `${100 * Math.abs(now - begun.at) / wide}%`);
    });
    panel.plot.addEventListener("pointerup", (event) => {
      fingers.delete(event.pointerId);
      pinch = null;
      const from = begun, moved = from && Math.abs(event.clientX - from.x) > CLICK;
      done();
      if (moved) {
        const to = shareAt(chart, panel, event);
        chart.show(Math.min(from.at, to), Math.max(from.at, to));
      }
    });
    panel.plot.addEventListener("pointercancel", (event) => { fingers.delete(event.pointerId); pinch = null; done(); });
    panel.plot.addEventListener("pointerleave", (event) => {
      if (event.pointerType === "mouse" && !begun) { if (chart.lines) { chart.read(null); } else { chart.readRow(null, null); } }
    });
  };

  /* The values as a table, made when it is asked for. */
  report.values = function (chart) {
    const details = element("details", { class: "chart-values" });
    element("summary", { text: "The values as a table" }, details);
    chart.figure.append(details);
    details.addEventListener("toggle", () => {
      if (details.querySelector("table")) { return; }
      const wide = element("div", { class: "wide", tabindex: 0, role: "group", "aria-label": `Values: ${chart.title}` }, details);
      const table = element("table", {}, wide);
      element("caption", { text: `${chart.title}: values` }, table);
      const head = element("tr", {}, element("thead", {}, table)), body = element("tbody", {}, table);
      element("th", { scope: "col", text: chart.figure.dataset.xUnit }, head);
      const columns = chart.panels.flatMap((panel) => panel.series.map((series) => ({ panel: panel, series: series })));
      for (const each of columns) {
        const whose = chart.panels.length > 1 ? `${each.panel.name}: ` : "";
        element("th", { scope: "col", text: `${whose}${each.series.name} [${each.panel.unit}]` }, head);
      }
      for (let moment = 0; moment <= MOMENTS; moment += 1) {
        const row = element("tr", {}, body), share = moment / MOMENTS, first = chart.panels[0];
        element("th", { scope: "row", text: shown(first.low + share * (first.high - first.low)) }, row);
        for (const each of columns) {
          const found = chart.valueAt(each.panel, each.series, share);
          element("td", { text: found ? shown(found.mean) : "" }, row);
        }
      }
    });
  };

  report.whenSeen("figure.chart", (figure) => { figure.chart = new report.Chart(figure); });
})();
