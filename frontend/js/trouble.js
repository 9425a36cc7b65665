// When the server cannot be reached, or a proxy answers in its place, say so where the eye is.
const say = (id) => {
  const place = document.getElementById("toasts");
  const words = document.getElementById(id);
  if (words && !place.querySelector(`[data-trouble="${id}"]`)) place.append(words.content.cloneNode(true));
};

document.addEventListener("htmx:error", (event) => {
  if (!event.detail.ctx?.response) say("trouble-offline");
});

document.addEventListener("htmx:before:swap", (event) => {
  const { response } = event.detail.ctx;
  // Our own faults come with a target; a proxy's error page does not and must not be swapped in.
  if (response?.status < 500 || response?.headers.get("HX-Retarget")) return;
  event.preventDefault();
  say("trouble-server");
});
