// Good news leaves by itself; a refusal stays until it is closed.
const SECONDS = 6;

const settle = (toast) => {
  if (toast.matches?.("[data-toast=brief]")) setTimeout(() => toast.remove(), SECONDS * 1000);
};

const place = document.getElementById("toasts");
if (place) {
  place.querySelectorAll("[data-toast]").forEach(settle);
  new MutationObserver((changes) => changes.forEach((change) => change.addedNodes.forEach(settle)))
    .observe(place, { childList: true });
}

document.addEventListener("click", (event) => {
  event.target.closest("[data-dismiss]")?.closest("[data-toast]")?.remove();
});

// A new try makes the refusal of the last one old news.
document.addEventListener("htmx:before:request", (event) => {
  if (event.detail.ctx.request.method === "GET") return;
  document.querySelectorAll("[data-toast=stays]").forEach((toast) => toast.remove());
});
