// What makes a page open without a connection: the built files by their hashed names, and the few
// pages that were looked at last, of one person and only while they are signed in. `GIVEN` stands
// before this file (affiliate/assets.py): the names are the version, so a new build is a new worker.
const { assets, offline } = GIVEN;
const BUILT = `built:${assets.join()}`;
const PAGES = "pages:";
const SHARED = "shared"; // posters and codes, which everybody may see
const MOST_PAGES = 40;
const MOST_SHARED = 60;
const MATERIAL = /^\/s\/[^/]+\/(qr\.(svg|png)|poster\.jpg)$/;
const LEAVING = /^\/(sign-in|sign-out)$/;

const pages = async () => (await caches.keys()).filter((name) => name.startsWith(PAGES));

// Nothing of a person stays on the phone when they leave it, or when another one comes.
const forget = async (but) =>
  Promise.all([...(await pages()), ...(but ? [] : [SHARED])].filter((name) => name !== but).map((name) => caches.delete(name)));

const trim = async (cache, most) => {
  const kept = await cache.keys();
  await Promise.all(kept.slice(0, Math.max(0, kept.length - most)).map((old) => cache.delete(old)));
};

const install = async () => {
  const cache = await caches.open(BUILT);
  await cache.addAll(assets);
  // A page of its own language for whoever is here now; another one is fetched with the next build.
  await cache.add(new Request(offline, { credentials: "same-origin", cache: "reload" }));
  await self.skipWaiting();
};

// Pages that are open have the files of the build before, so that one stays until the next.
const activate = async () => {
  const built = (await caches.keys()).filter((name) => name.startsWith("built:") && name !== BUILT);
  await Promise.all(built.slice(0, -1).map((name) => caches.delete(name)));
  await self.clients.claim();
};

const keep = async (request, answer) => {
  const whose = answer.headers.get("X-Keep");
  if (!whose || !answer.ok || answer.redirected) return;
  const name = PAGES + whose;
  await forget(name);
  const cache = await caches.open(name);
  await cache.delete(request); // so that it becomes the newest
  await cache.put(request, answer);
  await trim(cache, MOST_PAGES);
};

// The page as it was, with a mark by which it says so itself (js/home.js).
const seen = async (kept) => {
  const text = await kept.text();
  const at = kept.headers.get("Date") ?? "";
  const headers = new Headers(kept.headers);
  ["Content-Encoding", "Content-Length"].forEach((name) => headers.delete(name));
  return new Response(text.replace("<body ", `<body data-seen="${at.replace(/[^\w ,:+-]/g, "")}" `), { headers });
};

const without = async (request) => {
  if (request.method === "GET") {
    for (const name of await pages()) {
      const kept = await (await caches.open(name)).match(request, { ignoreSearch: true, ignoreVary: true });
      if (kept) return seen(kept);
    }
  }
  return (await caches.match(offline, { ignoreVary: true })) ?? Response.error();
};

const open = async (event) => {
  const { request } = event;
  if (LEAVING.test(new URL(request.url).pathname)) {
    event.waitUntil(forget());
    if (request.method === "POST") event.waitUntil(stop());
  }
  try {
    const answer = await fetch(request);
    if (request.method === "GET" && answer.type === "basic") event.waitUntil(keep(request, answer.clone()));
    return answer;
  } catch {
    return without(request);
  }
};

const stop = async () => (await self.registration.pushManager?.getSubscription())?.unsubscribe();

const built = async (request) => (await caches.match(request, { ignoreVary: true })) ?? fetch(request);

const shared = async (event) => {
  const cache = await caches.open(SHARED);
  const fresh = fetch(event.request).then(async (answer) => {
    if (answer.ok) {
      await cache.put(event.request, answer.clone());
      await trim(cache, MOST_SHARED);
    }
    return answer;
  });
  event.waitUntil(fresh.catch(() => {}));
  return (await cache.match(event.request)) ?? fresh;
};

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (url.origin !== location.origin) return;
  if (request.mode === "navigate") {
    if (url.pathname.startsWith("/promoter/") || url.pathname.startsWith("/account/") || LEAVING.test(url.pathname))
      event.respondWith(open(event));
  } else if (request.method === "GET" && assets.includes(url.pathname)) event.respondWith(built(request));
  else if (request.method === "GET" && MATERIAL.test(url.pathname)) event.respondWith(shared(event));
});

self.addEventListener("push", (event) => {
  const { title, words, path, tag } = event.data.json();
  const icon = assets.find((name) => name.includes("icon-192"));
  event.waitUntil(self.registration.showNotification(title, { body: words, tag, icon, data: { path } }));
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const to = new URL(event.notification.data.path, location.origin);
  const address = to.origin === location.origin ? to.href : location.origin;
  event.waitUntil(
    self.clients.matchAll({ type: "window" }).then(async (open) => {
      const here = open.find((each) => "navigate" in each);
      if (!here) return self.clients.openWindow(address);
      await here.navigate(address);
      return here.focus();
    }),
  );
});
