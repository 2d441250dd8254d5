/* The switch of colours, and details that open where a link points into them, or for a printer. */
(function () {
  "use strict";
  const root = document.documentElement;
  const night = window.matchMedia("(prefers-color-scheme: dark)");
  const tools = document.getElementById("page-tools");
  const KEY = "memhp-sim-colours";

  /* Pages from file:// may have no storage. */
  function stored() {
    try { return window.localStorage.getItem(KEY); } catch { return null; }
  }
  function store(value) {
    try { window.localStorage.setItem(KEY, value); } catch { /* Kept for this page only, then. */ }
  }
  function isDark() {
    const chosen = root.dataset.colours;
    return chosen ? chosen === "dark" : night.matches;
  }

  const button = document.createElement("button");
  button.type = "button";
  button.id = "colours";
  button.textContent = "Dark colours";
  function tell() { button.setAttribute("aria-pressed", String(isDark())); }
  function choose(colours) {
    root.dataset.colours = colours;
    tell();
    document.dispatchEvent(new CustomEvent("memhp:colours"));
  }
  button.addEventListener("click", function () {
    const colours = isDark() ? "light" : "dark";
    choose(colours);
    store(colours);
  });
  night.addEventListener("change", function () {
    tell();
    document.dispatchEvent(new CustomEvent("memhp:colours"));
  });
  const before = stored();
  if (before === "dark" || before === "light") { root.dataset.colours = before; }
  tell();
  tools.append(button);

  function reveal() {
    const target = document.getElementById(decodeURIComponent(window.location.hash.slice(1)));
    if (!target) { return; }
    for (let each = target; each; each = each.parentElement) {
      if (each instanceof HTMLDetailsElement) { each.open = true; }
    }
    target.scrollIntoView();
  }
  window.addEventListener("hashchange", reveal);

  /* On paper nothing opens on demand; of many scenarios those that are open are printed. */
  const MOST_PRINTED = 12;
  let opened = [];
  window.addEventListener("beforeprint", function () {
    const scenarios = [...document.querySelectorAll("details.scenario")];
    const printed = scenarios.length > MOST_PRINTED ? scenarios.filter((each) => each.open) : scenarios;
    const decided = printed.flatMap((each) => [...each.querySelectorAll(".memory-map details")]);
    opened = [...printed, ...decided].filter((each) => !each.open);
    for (const each of opened) { each.open = true; }
  });
  window.addEventListener("afterprint", function () {
    for (const each of opened) { each.open = false; }
  });

  if (window.location.hash) { window.addEventListener("load", reveal); }
})();
