// The page in between, kept true: it asks again for price and stock when the server says that
// something changed, every few seconds while nobody tells it, and when a dated price ends.
(() => {
  const box = document.getElementById("offer");
  if (!box || !window.fetch) return;

  const TOLD_MS = 60000, ALONE_MS = 5000, TIRED_MS = 30000, LONG_MS = 600000, AGAIN_MS = 2000;
  // The server's copy is at most half a second old, and not everybody asks in the same moment.
  const SETTLES_MS = 500, SPREAD_MS = 300;
  // Clocks of phones are off: seconds left are counted by the server's.
  const offset = document.body.getAttribute("data-now") * 1000 - Date.now();
  const began = Date.now();
  let shown = box.getAttribute("data-tag");
  let stream = null, told = false, waits = 0, asking = false, endAsked = 0;

  const ask = () => {
    if (asking || document.hidden) return;
    asking = true;
    fetch(box.getAttribute("data-ask") + location.search, {
      cache: "no-store",
      credentials: "same-origin",
      headers: { "If-None-Match": shown },
    })
      .then((answer) => {
        if (!answer.ok) return;
        shown = answer.headers.get("ETag") || "";
        return answer.text().then(show);
      })
      .catch(() => {})
      .then(() => {
        asking = false;
        later();
      });
  };

  const show = (part) => {
    const was = box.contains(document.activeElement);
    box.innerHTML = part;
    const button = box.querySelector("a");
    if (was && button) button.focus();
    count();
  };

  const later = () => {
    clearTimeout(waits);
    const alone = Date.now() - began > LONG_MS ? TIRED_MS : ALONE_MS;
    waits = setTimeout(ask, (told ? TOLD_MS : alone) * (0.9 + Math.random() * 0.2));
  };

  const listen = () => {
    const address = box.getAttribute("data-live");
    if (!address || !window.EventSource || stream || document.hidden) return;
    stream = new EventSource(address);
    stream.onopen = () => { told = true; later(); };
    stream.onerror = () => {
      told = false;
      later();
      if (stream && stream.readyState === 2) {
        stream = null; // refused: there are too many, or nobody who would tell
        setTimeout(listen, TOLD_MS);
      }
    };
    stream.addEventListener("news", () => {
      setTimeout(ask, SETTLES_MS + Math.random() * SPREAD_MS);
    });
  };
  const hush = () => {
    if (stream) stream.close();
    stream = null;
    told = false;
  };

  const two = (number) => (number < 10 ? "0" : "") + number;
  const count = () => {
    const left = box.querySelector("[data-ends]");
    if (!left) return;
    const seconds = Math.ceil(left.getAttribute("data-ends") - (Date.now() + offset) / 1000);
    if (seconds <= 0) {
      left.hidden = true;
      if (Date.now() - endAsked > AGAIN_MS) {
        endAsked = Date.now();
        ask();
      }
      return;
    }
    const days = Math.floor(seconds / 86400), rest = seconds % 86400;
    const name = days === 1 ? "data-day" : "data-days";
    const words = days ? left.getAttribute(name).replace("#", days) + " " : "";
    left.textContent = words + [Math.floor(rest / 3600), Math.floor(rest / 60) % 60, rest % 60].map(two).join(":");
    left.hidden = false;
  };

  const wake = () => {
    if (document.hidden) return hush();
    listen();
    ask();
  };
  document.addEventListener("visibilitychange", wake);
  window.addEventListener("pageshow", (event) => { if (event.persisted) wake(); });
  window.addEventListener("pagehide", hush);
  setInterval(count, 1000);
  count();
  listen();
  later();
})();
