// When the server cannot be reached, or answers with a fault of its own, say so where the eye is.
const say = (id) => {
  const words = document.getElementById(id);
  const place = document.getElementById("toasts");
  if (words && place && !place.querySelector(`[data-trouble=${id}]`)) place.append(words.content.cloneNode(true));
};

document.addEventListener("htmx:error", (event) => {
  if (!event.detail?.ctx?.response) say("trouble-offline");
});
document.addEventListener("htmx:response:error", (event) => {
  if (event.detail?.ctx?.response?.status >= 500) say("trouble-server");
});
