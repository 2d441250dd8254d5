/* What charts and maps share: elements, numbers for people, and a beginning only when something comes into sight. */
(function () {
  "use strict";
  const NS = "http://www.w3.org/2000/svg";
  const report = window.memhpReport = {};

  /* Numbers, as sim.analysis.compare.number writes them. */
  function shown(value) {
    if (!Number.isFinite(value)) { return value > 0 ? "∞" : value < 0 ? "-∞" : "undefined"; }
    if (value === 0) { return "0"; }
    const decimals = Math.min(Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value)))), 6);
    return value.toLocaleString("en-US", { maximumFractionDigits: decimals });
  }
  function element(name, attributes, parent) {
    const made = name.includes(":") ? document.createElementNS(NS, name.slice(4)) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key === "text") { made.textContent = value; } else { made.setAttribute(key, value); }
    }
    if (parent) { parent.append(made); }
    return made;
  }

  /* Calls begin(found) for each that the selector finds, once it is about to be seen. */
  function whenSeen(selector, begin) {
    const watch = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (entry.isIntersecting) { watch.unobserve(entry.target); begin(entry.target); }
      }
    }, { rootMargin: "300px" });
    document.querySelectorAll(selector).forEach((found) => watch.observe(found));
  }

  report.element = element;
  report.shown = shown;
  report.whenSeen = whenSeen;
})();
