// Notices in browsers: the subscription, and what the service worker shows. No push service is
// reached.

import assert from "node:assert/strict";
import { assertAccessible, assertFits, base, signedIn, test } from "./browser.js";

const PAGE = `${base}/inbox/push`;

/// Makes the browser subscribe as if it reached its push service, or fail with this error.
function pretend(page, failure) {
  return page.addInitScript((failure) => {
    const encoded = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
    const decoded = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0)).buffer;
    const kept = () => JSON.parse(localStorage.getItem("subscription"));
    const subscription = (stored) => stored && {
      endpoint: stored.endpoint, options: { applicationServerKey: decoded(stored.key) }, toJSON: () => stored,
      unsubscribe: async () => localStorage.removeItem("subscription"),
    };
    PushManager.prototype.getSubscription = async () => subscription(kept());
    PushManager.prototype.subscribe = async ({ userVisibleOnly, applicationServerKey }) => {
      if (failure || !userVisibleOnly) throw new Error(failure);
      const { publicKey } = await crypto.subtle.generateKey({ name: "ECDH", namedCurve: "P-256" }, false, ["deriveBits"]);
      const p256dh = encoded(await crypto.subtle.exportKey("raw", publicKey));
      const stored = { endpoint: `https://push.example/${crypto.randomUUID()}`, keys: { p256dh, auth: encoded(new Uint8Array(16)) }, key: applicationServerKey };
      localStorage.setItem("subscription", JSON.stringify(stored));
      return subscription(stored);
    };
  }, failure);
}

const button = (page) => page.getByRole("button", { name: "Subscribe this browser" });

test("a browser can be subscribed, recognized and unsubscribed", async (t) => {
  const page = await signedIn(t, "alice", { permissions: ["notifications"] });
  await pretend(page);
  await page.goto(`${base}/`);
  await page.getByRole("link", { name: "Notify me even while no page is open" }).click();
  await button(page).click();
  await page.getByText("The browser is subscribed").waitFor();
  const row = page.getByRole("row", { name: /Chrome on .* this one/ });
  await row.waitFor();
  assert.ok(await button(page).isHidden(), "it is subscribed already");
  await assertAccessible(page, "a subscribed browser");
  await page.setViewportSize({ width: 320, height: 700 });
  await assertFits(page, "a subscribed browser");
  await row.getByRole("button").click();
  await page.getByText("The browser is no longer subscribed").waitFor();
  await button(page).waitFor();
  assert.equal(await page.evaluate(() => localStorage.getItem("subscription")), null, "the browser gave it up, too");
});

test("a failed subscription shows the reason", async (t) => {
  const page = await signedIn(t, "alice", { permissions: ["notifications"] });
  await pretend(page, "Registration failed - push service not available");
  await page.goto(PAGE);
  await button(page).click();
  await page.getByRole("alert").getByText("The browser could not be subscribed: Registration failed - push service not available").waitFor();
  await assertAccessible(page, "a browser that is not subscribed");
  assert.equal(await button(page).isEnabled(), true);
});

test("the page explains why a browser cannot notify", async (t) => {
  const page = await signedIn(t, "alice");
  await page.addInitScript(() => { Notification.requestPermission = async () => "denied"; });
  await page.goto(PAGE);
  await button(page).click();
  await page.getByText("The browser does not allow notifications of this page").waitFor();

  const bare = await signedIn(t, "alice", { javaScriptEnabled: false });
  await bare.goto(PAGE);
  // Disabling scripts in this browser does not affect `noscript`.
  assert.match(await bare.locator("noscript").innerHTML(), /Subscribing a browser needs scripts/);
  assert.ok(await bare.locator("#subscribe").isHidden());
});

test("a pushed notice is shown once for each request", async (t) => {
  const page = await signedIn(t, "alice", { permissions: ["notifications"] });
  await page.goto(PAGE);
  const devtools = await page.context().newCDPSession(page);
  const registered = new Promise((resolve) => devtools.on("ServiceWorker.workerRegistrationUpdated", ({ registrations }) => {
    const found = registrations.find((one) => one.scopeURL === `${base}/inbox/` && !one.isDeleted);
    if (found) resolve(found.registrationId);
  }));
  await devtools.send("ServiceWorker.enable");
  await page.evaluate(async () => {
    await navigator.serviceWorker.register("/inbox/push-worker.js", { scope: "/inbox/" });
    await navigator.serviceWorker.ready;
  });
  const registrationId = await registered;
  const push = (notice) => devtools.send("ServiceWorker.deliverPushMessage", { origin: base, registrationId, data: JSON.stringify(notice) });
  const shown = (count, title) => page.waitForFunction(async ([count, title]) => {
    const all = await (await navigator.serviceWorker.getRegistration("/inbox/")).getNotifications();
    return all.length === count && all.some((one) => one.title === title && one.data.path === "/inbox/workflows/a");
  }, [count, title]);
  await push({ title: "Approval needed (high risk): deploy api", path: "/inbox/workflows/a", tag: "a" });
  await shown(1, "Approval needed (high risk): deploy api");
  await push({ title: "Still waiting", path: "/inbox/workflows/a", tag: "a" });
  await shown(1, "Still waiting");
  await push({ title: "Another", path: "/inbox/workflows/b", tag: "b" });
  await shown(2, "Still waiting");
});
