// Shows the notices of a push service while no page is open. It decides nothing: a click opens the
// request.
"use strict";

const show = (title, path, tag) => self.registration.showNotification(title, { tag, renotify: true, data: { path } });

self.addEventListener("push", (event) => {
  const { title, path, tag } = event.data.json();
  event.waitUntil(show(title, path, tag));
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const wanted = new URL(event.notification.data.path, self.location.origin);
  event.waitUntil((async () => {
    const pages = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
    const open = pages.find((page) => new URL(page.url).pathname === wanted.pathname);
    return open ? open.focus() : self.clients.openWindow(wanted);
  })());
});

// The subscription of the browser has changed or ended; the page subscribes again.
self.addEventListener("pushsubscriptionchange", (event) => {
  event.waitUntil(show("This browser is not notified any more: subscribe it again", "/inbox/push", "subscription"));
});
