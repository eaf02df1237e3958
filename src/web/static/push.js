// Subscribes this browser to notices, on the page that has the form for it.
"use strict";

(() => {
  const form = document.getElementById("subscribe");
  if (!form) return;
  const note = document.getElementById("push-note"), button = form.querySelector("button");
  const SCOPE = "/inbox/";

  function say(text) {
    note.textContent = text;
    note.hidden = false;
  }

  function encoded(bytes) {
    return btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  }

  async function digest(text) {
    const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
    return `sha256:${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  }

  async function look() {
    if (!("serviceWorker" in navigator && "PushManager" in window && "Notification" in window)) {
      say("This browser cannot be notified here. It has to know Web Push, and the address of the inbox has to begin with https://. On an iPhone or iPad, first add the inbox to the home screen, and open it from there.");
      return;
    }
    const registration = await navigator.serviceWorker.getRegistration(SCOPE);
    const own = await registration?.pushManager.getSubscription();
    if (own && encoded(own.options.applicationServerKey) === form.dataset.key) {
      const row = document.querySelector(`[data-browser="${await digest(own.endpoint)}"]`);
      if (row) {
        row.querySelector("[data-own]").hidden = false;
        return;
      }
    }
    // The server does not have the subscription, or can no longer use it.
    await own?.unsubscribe();
    form.hidden = false;
  }

  async function subscribe() {
    if (await Notification.requestPermission() !== "granted") {
      say("The browser does not allow notifications of this page: allow them in its settings, and try again.");
      return;
    }
    await navigator.serviceWorker.register("/inbox/push-worker.js", { scope: SCOPE });
    const registration = await navigator.serviceWorker.ready;
    const subscription = await registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: form.dataset.key });
    const { endpoint, keys } = subscription.toJSON();
    for (const [name, value] of Object.entries({ endpoint, p256dh: keys.p256dh, auth: keys.auth })) form.elements[name].value = value;
    form.submit();
  }

  const failed = (error) => say(`The browser could not be subscribed: ${error.message}`);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    note.hidden = button.disabled = true;
    await subscribe().catch(failed);
    button.disabled = false;
  });
  look().catch(failed);
})();
