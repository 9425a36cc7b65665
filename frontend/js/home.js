// On the home screen: the worker that opens pages without a connection, the button that puts us
// there, and a page from the phone's own memory that says from when it is.
if (document.body.classList.contains("phone") && "serviceWorker" in navigator) {
  navigator.serviceWorker.register("/worker.js").catch(() => {}); // as on plain http
}

const { seen } = document.body.dataset;
const words = document.getElementById("trouble-seen");
if (seen && words) {
  const note = words.content.cloneNode(true);
  const at = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
  note.querySelector("[data-seen-at]").textContent = at.format(new Date(seen));
  document.getElementById("main").prepend(note);
}

let asking;
const reveal = () => document.querySelectorAll("[data-install]").forEach((place) => { place.hidden = !asking; });

addEventListener("beforeinstallprompt", (event) => {
  event.preventDefault();
  asking = event;
  reveal();
});

document.addEventListener("click", async (event) => {
  if (!asking || !event.target.closest("[data-install] button")) return;
  await asking.prompt();
  asking = undefined;
  reveal();
});
