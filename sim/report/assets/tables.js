/* Tables that sort (class "sorts") and filter (class "filters"): what they say is there without this script, too. */
(function () {
  "use strict";

  /* A cell's data-v is what its column sorts by; without it, its text does. */
  function valueOf(row, column) {
    const cell = row.cells[column];
    if (!cell) { return ""; }
    if (cell.dataset.v === undefined) { return cell.textContent.trim(); }
    return cell.dataset.v === "" ? null : Number(cell.dataset.v);
  }
  const words = new Intl.Collator("en", { numeric: true });
  function compared(one, other) {
    if (typeof one === "number" && typeof other === "number") { return one - other; }
    return words.compare(String(one), String(other));
  }

  function sortBy(table, header) {
    const descending = header.getAttribute("aria-sort") === "ascending";
    for (const each of table.tHead.querySelectorAll("[aria-sort]")) { each.setAttribute("aria-sort", "none"); }
    header.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const column = header.cellIndex;
    const body = table.tBodies[0];
    const rows = Array.from(body.rows, (row) => [valueOf(row, column), row]);
    /* What has no value comes last either way. */
    rows.sort(function (one, other) {
      if (one[0] === null || other[0] === null) { return Number(one[0] === null) - Number(other[0] === null); }
      return descending ? compared(other[0], one[0]) : compared(one[0], other[0]);
    });
    body.append(...rows.map((pair) => pair[1]));
  }

  function makeSort(table) {
    const headers = table.tHead.rows[table.tHead.rows.length - 1].cells;
    for (const header of headers) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...header.childNodes);
      header.append(button);
      header.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => sortBy(table, header));
    }
  }

  let filters = 0;
  function makeFilter(table) {
    filters += 1;
    const about = table.dataset.about || "rows";
    const box = document.createElement("div");
    box.className = "filter";
    const label = document.createElement("label");
    const input = document.createElement("input");
    const status = document.createElement("span");
    input.type = "search";
    input.id = "filter-" + filters;
    label.htmlFor = input.id;
    label.textContent = "Show only " + about + " with";
    status.setAttribute("role", "status");
    box.append(label, input, status);
    table.closest(".wide").before(box);
    input.addEventListener("input", function () {
      const wanted = input.value.toLocaleLowerCase().split(/\s+/).filter(Boolean);
      const rows = Array.from(table.tBodies[0].rows);
      let shown = 0;
      for (const row of rows) {
        const text = row.textContent.toLocaleLowerCase();
        row.hidden = !wanted.every((word) => text.includes(word));
        shown += row.hidden ? 0 : 1;
      }
      status.textContent = wanted.length ? shown + " of " + rows.length + " " + about : "";
    });
  }

  function equip(table) {
    if (table.classList.contains("sorts")) { makeSort(table); }
    if (table.classList.contains("filters")) { makeFilter(table); }
  }
  document.querySelectorAll("table").forEach(equip);

  /* The same table that the template "table" makes, from the data of sim/report/table.py. */
  function made(data) {
    const region = document.createElement("div");
    region.className = "wide";
    region.setAttribute("role", "region");
    region.setAttribute("aria-label", data.caption);
    region.tabIndex = 0;
    const table = document.createElement("table");
    table.className = data.about ? "sorts filters" : "sorts";
    if (data.about) { table.dataset.about = data.about; }
    table.createCaption().textContent = data.caption;
    const top = table.createTHead().insertRow();
    data.heads.forEach(function (text, column) {
      const head = document.createElement("th");
      head.scope = "col";
      head.textContent = text;
      if (data.words.includes(column)) { head.className = "text"; }
      top.append(head);
    });
    const body = table.createTBody();
    for (const cells of data.rows) {
      const row = body.insertRow();
      cells.forEach(function (packed, column) {
        const [text, value, below, gap, look, link] = typeof packed === "string" ? [packed] : packed;
        const cell = document.createElement(column ? "td" : "th");
        if (!column) { cell.scope = "row"; } else if (data.words.includes(column)) { cell.className = "text"; }
        if (value !== undefined && value !== null) { cell.dataset.v = value; }
        const inside = link ? document.createElement("a") : cell;
        if (link) { inside.href = "#" + link; cell.append(inside); }
        inside.append(text);
        for (const [words, kind] of [[below, ""], [gap, look]]) {
          if (!words) { continue; }
          const small = document.createElement("small");
          small.textContent = words;
          if (kind) { small.className = kind; }
          cell.append(small);
        }
        row.append(cell);
      });
    }
    region.append(table);
    return region;
  }

  /* Tables of which there are many are made when somebody opens the details that they are in. */
  for (const details of document.querySelectorAll("details[data-tables]")) {
    details.addEventListener("toggle", function () {
      if (!details.open || details.dataset.filled) { return; }
      details.dataset.filled = "yes";
      const tables = JSON.parse(document.getElementById(details.dataset.tables).textContent);
      for (const data of tables) {
        const region = made(data);
        details.append(region);
        equip(region.querySelector("table"));
      }
    });
  }
})();
