// <button data-share="text" hidden>: the device's own sheet for passing things on. It shows up only
// where there is one; copying and the other ways are always there.
const reveal = (root) => {
  if (!navigator.share) return;
  root.querySelectorAll("[data-share][hidden]").forEach((button) => { button.hidden = false; });
};

reveal(document);
document.addEventListener("htmx:after:swap", () => reveal(document));

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-share]");
  if (!button) return;
  try {
    await navigator.share({ text: button.dataset.share });
  } catch (error) {
    if (error.name !== "AbortError") throw error; // closing the sheet is an answer, too
  }
});
