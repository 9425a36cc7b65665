// What a shop puts into its pages: keeps the tokens of the links that led here, and hands them to
// the shop's cart and forms. docs/shops.md says how; the built file may have 2048 bytes.
//   <script src="https://go.example.com/affiliate.js" data-days="30" data-consent defer></script>
// A token is 32 letters and says itself when it was made, so one that is too old, or is none, is
// known without asking anybody. Whether it is genuine only the server knows.
(() => {
  const { document: page, location } = window;
  if ((window.tuike || 0).tk) return;
  const { days = 30, consent: asks } = (page.currentScript || page.createElement("a")).dataset;
  const NAME = "tuike", MOST = 5, DAY = 86400;
  const kept = Math.min(Math.max(+days || 30, 1), 400) * DAY;

  const seconds = (token) => {
    const bytes = atob(token.slice(12, 20).replace(/-/g, "+").replace(/_/g, "/"));
    return [0, 1, 2, 3].reduce((sum, at) => sum * 256 + bytes.charCodeAt(at), 0);
  };
  const isFresh = (token) => {
    if (!/^[\w-]{32}$/.test(token)) return;
    const age = Date.now() / 1000 - seconds(token);
    return age > -DAY && age < kept + DAY; // clocks of phones are off; the server looks closely
  };
  // A browser may refuse either by throwing.
  const attempt = (what) => { try { return what(); } catch (_) {} };
  const stored = () => [
    attempt(() => page.cookie.match(/(?:^|; )tuike=([\w.-]*)/)[1]),
    attempt(() => localStorage.getItem(NAME)),
  ].join(".");

  const landed = new URLSearchParams(location.search).getAll("tk").join(".").slice(0, 999);
  let may = asks === undefined || !!stored().replace(/\.|null/g, "");
  // Up to five, oldest first.
  const tokens = () =>
    [...new Set(`${landed}.${may ? stored() : ""}`.slice(0, 9999).split("."))].filter(isFresh)
      .sort((one, other) => seconds(one) - seconds(other)).slice(-MOST).join(".");
  const store = (text) => {
    attempt(() => {
      const secure = location.protocol === "https:" ? ";secure" : "";
      page.cookie = `${NAME}=${text};path=/;max-age=${text ? kept : 0};samesite=lax${secure}`;
    });
    attempt(() => text ? localStorage.setItem(NAME, text) : localStorage.removeItem(NAME));
  };

  const cart = async (text) => {
    try {
      const { root = "/" } = Shopify.routes || 0;
      const { attributes } = await (await fetch(`${root}cart.js`)).json();
      if ((attributes.tk || "") !== text) {
        await fetch(`${root}cart/update.js`, {
          method: "POST",
          keepalive: true,
          headers: { "Content-Type": "application/json" },
          body: JSON.stringify({ attributes: { tk: text } }),
        });
      }
    } catch (_) {}
  };
  // Hidden fields that are there, and those of the carts that we know by their button.
  const fill = () => {
    const text = tokens();
    const put = (button, name) => {
      const form = button.form;
      if (form && !form.elements[name]) {
        const field = page.createElement("input");
        field.type = "hidden";
        field.name = name;
        form.append(field);
      }
    };
    const each = (query, what) => page.querySelectorAll(query).forEach(what);
    if (may && text) {
      if (window.Shopify) each("[name=checkout]", (button) => put(button, "attributes[tk]"));
      each("[name=go_to_checkout]", (button) => put(button, "extra[tk]"));
    }
    each("[type=hidden][name=tk],[name$='[tk]']", (field) => { field.value = text; });
    return text;
  };
  const hand = () => {
    const text = fill();
    if (may && text) cart(text);
  };
  const begin = () => {
    if (may) store(tokens());
    hand();
  };

  window.tuike = {
    tk: tokens,
    consent: (given) => {
      if (!given && may) store(""), cart("");
      may = !!given;
      begin();
    },
  };
  page.addEventListener("submit", hand, true);
  page.addEventListener("DOMContentLoaded", fill);
  window.addEventListener("pageshow", ({ persisted }) => { if (persisted) hand(); });
  page.addEventListener("visitorConsentCollected", ({ detail }) => {
    if (asks !== undefined) tuike.consent(detail.marketingAllowed);
  });
  begin();
})();
