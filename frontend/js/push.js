// <section data-push="our key" data-push-to="…" data-push-stop="…">: messages on this phone.
const place = document.querySelector("[data-push]");

const show = (state) =>
  place.querySelectorAll("[data-push-state]").forEach((each) => { each.hidden = each.dataset.pushState !== state; });

const send = (address, what) =>
  fetch(address, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...JSON.parse(document.body.getAttribute("hx-headers:inherited") ?? "{}") },
    body: JSON.stringify(what),
  }).then((answer) => {
    if (!answer.ok) throw new Error(`${answer.status}`);
  });

const look = async () => {
  if (!("serviceWorker" in navigator) || !("PushManager" in window)) return show("none");
  if (Notification.permission === "denied") return show("refused");
  const { pushManager } = await navigator.serviceWorker.ready;
  const subscription = await pushManager.getSubscription();
  return show(subscription ? "on" : "off");
};

const turnOn = async () => {
  if ((await Notification.requestPermission()) !== "granted") return look();
  const { pushManager } = await navigator.serviceWorker.ready;
  const key = Uint8Array.from(atob(place.dataset.push.replaceAll("-", "+").replaceAll("_", "/")), (each) => each.charCodeAt(0));
  const subscription = await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
  try {
    await send(place.dataset.pushTo, subscription);
  } catch (error) {
    await subscription.unsubscribe();
    throw error;
  } finally {
    await look();
  }
};

const turnOff = async () => {
  const { pushManager } = await navigator.serviceWorker.ready;
  const subscription = await pushManager.getSubscription();
  if (subscription) {
    await subscription.unsubscribe();
    await send(place.dataset.pushStop, { endpoint: subscription.endpoint }).catch(() => {});
  }
  await look();
};

if (place) {
  look();
  place.addEventListener("click", (event) => {
    if (event.target.closest("[data-push-on]")) turnOn();
    if (event.target.closest("[data-push-off]")) turnOff();
  });
}
