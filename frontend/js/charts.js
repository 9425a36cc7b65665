// Draws <figure data-chart> once it is on the page; the library is fetched only then.
const draw = (root) => {
  const waiting = [...root.querySelectorAll("[data-chart]:not([data-drawn])")];
  if (waiting.length === 0) return;
  waiting.forEach((figure) => figure.setAttribute("data-drawn", ""));
  import("./chart.js").then(({ plot }) => waiting.forEach(plot));
};

draw(document);
document.addEventListener("htmx:after:swap", () => draw(document));
