// <details data-menu>: closes when attention goes elsewhere.
const close = (except) =>
  document.querySelectorAll("details[data-menu][open]").forEach((menu) => {
    if (menu !== except) menu.open = false;
  });

document.addEventListener("click", (event) => close(event.target.closest("details[data-menu]")));
document.addEventListener("focusin", (event) => close(event.target.closest("details[data-menu]")));
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const menu = document.querySelector("details[data-menu][open]");
  close();
  menu?.querySelector("summary").focus();
});
