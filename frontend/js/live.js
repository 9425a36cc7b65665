// <section data-live="address" hx-get="…" hx-trigger="news">: what is fetched again when something
// came in. The stream says only that; while there is none, we ask every ten seconds, and with one
// still every minute, as news may be lost. A page that nobody looks at asks nothing.
const ASK = 10_000;
const ASK_RARELY = 60_000;
const FIRST_PAUSE = 5_000;
const LONGEST_PAUSE = 300_000;

let source, asking, trying;
let pause = FIRST_PAUSE;
let wasOpen = false;
let asksRarely = false;

const parts = () => document.querySelectorAll("[data-live]");
const fetchAgain = () => parts().forEach((part) => part.dispatchEvent(new CustomEvent("news")));

const opened = () => {
  if (wasOpen) fetchAgain(); // whatever came while we heard nothing
  wasOpen = true;
  pause = FIRST_PAUSE;
};

const failed = () => {
  if (asksRarely) ask(ASK);
  if (source.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
  source = undefined;
  trying = setTimeout(connect, pause * (0.5 + Math.random()));
  pause = Math.min(pause * 2, LONGEST_PAUSE);
};

const connect = () => {
  const address = parts()[0]?.dataset.live;
  if (source || !address) return;
  source = new EventSource(address);
  source.addEventListener("open", opened);
  source.addEventListener("news", fetchAgain);
  source.addEventListener("error", failed);
};

const ask = (after) => {
  asksRarely = after > ASK;
  clearTimeout(asking);
  asking = setTimeout(() => {
    fetchAgain();
    ask(source?.readyState === EventSource.OPEN ? ASK_RARELY : ASK);
  }, after);
};

const begin = () => {
  connect();
  ask(ASK);
};

const rest = () => {
  clearTimeout(asking);
  clearTimeout(trying);
  source?.close();
  source = undefined;
  wasOpen = false;
};

if (parts().length > 0) {
  if (!document.hidden) begin();
  document.addEventListener("visibilitychange", () => {
    rest();
    if (document.hidden) return;
    fetchAgain();
    begin();
  });
  addEventListener("pagehide", rest);
}
