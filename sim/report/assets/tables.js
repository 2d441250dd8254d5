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

  let made = 0;
  function makeFilter(table) {
    made += 1;
    const about = table.dataset.filter || "rows";
    const box = document.createElement("div");
    box.className = "filter";
    const label = document.createElement("label");
    const input = document.createElement("input");
    const status = document.createElement("span");
    input.type = "search";
    input.id = "filter-" + made;
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
})();
