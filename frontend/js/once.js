// A form that is on its way is not sent a second time. (The server refuses repeats as well.)
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method === "dialog" || event.defaultPrevented) return;
  if (form.dataset.sent !== undefined) event.preventDefault();
  form.dataset.sent = "";
  form.querySelectorAll("button:not([type=button])").forEach((button) => button.setAttribute("aria-busy", "true"));
});

const again = (root) =>
  root.querySelectorAll("form[data-sent]").forEach((form) => {
    delete form.dataset.sent;
    form.querySelectorAll("[aria-busy]").forEach((button) => button.removeAttribute("aria-busy"));
  });

window.addEventListener("pageshow", () => again(document)); // the back button brings the old page
document.addEventListener("htmx:finally:request", () => again(document));
