// <a data-opens="id" href="the same as a page">: opens the <dialog> instead of going there.
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (opener) {
    const dialog = document.getElementById(opener.dataset.opens);
    if (!dialog) return; // the page behind the link does the same
    event.preventDefault();
    dialog.showModal();
  }
  // A click on the backdrop is a click on the dialog itself, not on anything inside.
  if (event.target.matches?.("dialog[open]")) event.target.close();
  event.target.closest("[data-closes]")?.closest("dialog")?.close();
});
