// Keeps the page's files, so that it works without a network after the first load. With a network the newest ones count.

const NAME = "which-garment";

self.addEventListener("install", (event) => {
  const keep = async () => {
    const { files } = await (await fetch("settings.json")).json();
    const cache = await caches.open(NAME);
    await cache.addAll(["./", ...files]);
    await self.skipWaiting();
  };
  event.waitUntil(keep());
});

self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  if (event.request.method !== "GET") return;
  const answer = async () => {
    const cache = await caches.open(NAME);
    try {
      const response = await fetch(event.request);
      if (response.ok) await cache.put(event.request, response.clone());
      return response;
    } catch (error) {
      const kept = await cache.match(event.request, { ignoreSearch: true });
      if (kept) return kept;
      throw error;
    }
  };
  event.respondWith(answer());
});
