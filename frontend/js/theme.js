// Day, night, or as the system has it: at once, and kept in a cookie for the next page.
document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-theme-choice]");
  if (!link) return;
  event.preventDefault();
  const chosen = link.dataset.themeChoice;
  const root = document.documentElement;
  if (chosen === "system") root.removeAttribute("data-theme");
  else root.setAttribute("data-theme", chosen);
  const age = chosen === "system" ? 0 : 31536000;
  document.cookie = `theme=${chosen}; path=/; max-age=${age}; samesite=lax`;
  link.closest("details").querySelectorAll("[data-theme-choice]").forEach((each) => {
    if (each === link) each.setAttribute("aria-current", "true");
    else each.removeAttribute("aria-current");
  });
  document.dispatchEvent(new Event("theme:changed"));
});
