// Keeps the page up to date. Every page works without it.
"use strict";

(() => {
  const EVENTS = [
    "message", "reset", "submitted", "approval_requested", "approved", "granted", "glass_broken", "reviewed", "rejected", "withdrawn", "escalated", "expired", "cancelled", "superseded", "commented",
    "released", "start_refused", "execution_started", "execution_succeeded", "execution_failed", "report_requested", "outcome_unknown", "resolved",
  ];
  const body = document.body;
  const list = document.getElementById("list");
  const detail = document.querySelector("[data-workflow]");
  const stream = document.getElementById("stream");
  const announcements = document.getElementById("announcements");

  // ---- Times: the same words as `relative_time.rs`, by the server's clock.
  const ahead = Date.parse(body.dataset.now) - Date.now();

  function words(seconds) {
    const size = Math.abs(seconds);
    if (size < 60) return seconds > 0 ? "in less than a minute" : "just now";
    const [unit, length] = size < 3600 ? ["minute", 60] : size < 172800 ? ["hour", 3600] : ["day", 86400];
    const count = Math.floor(size / length);
    const amount = `${count} ${unit}${count === 1 ? "" : "s"}`;
    return seconds > 0 ? `in ${amount}` : `${amount} ago`;
  }

  function tellTime() {
    const now = Date.now() + ahead;
    for (const time of document.querySelectorAll("time[data-relative]")) {
      const said = words(Math.trunc((Date.parse(time.dateTime) - now) / 1000));
      if (time.textContent !== said) time.textContent = said;
    }
  }

  setInterval(tellTime, 10000);

  // Absolute times are in the reader's time zone, with UTC in the tooltip, or the other way round.
  const zone = new Intl.DateTimeFormat("en-GB", { timeZoneName: "short" }).formatToParts().find((part) => part.type === "timeZoneName").value;
  const local = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "short" });
  const isUtc = new Date().getTimezoneOffset() === 0 && /^(UTC|GMT)$/.test(zone);

  function tellZone() {
    if (isUtc) return;
    for (const time of document.querySelectorAll("time[data-absolute]:not([title])")) {
      time.title = time.textContent;
      time.textContent = `${local.format(new Date(time.dateTime))} ${zoneOf(time.dateTime)}`;
    }
    for (const time of document.querySelectorAll("time[data-relative][title$='UTC']:not([data-zoned])")) {
      time.title = `${local.format(new Date(time.dateTime))} ${zoneOf(time.dateTime)}, ${time.title}`;
      time.dataset.zoned = "";
    }
    document.getElementById("zone").textContent = `Times are this device’s (${zone}); UTC is in their tooltips, and days are days in UTC.`;
  }

  // In summer the zone has another name than in winter.
  function zoneOf(moment) {
    const parts = new Intl.DateTimeFormat("en-GB", { timeZoneName: "short" }).formatToParts(new Date(moment));
    return parts.find((part) => part.type === "timeZoneName").value;
  }
  tellZone();

  // A page restored from the browser's memory may be outdated.
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

  // A result is shown once: a page that is opened again shows the current state.
  const address = new URL(location.href);
  if (address.searchParams.has("seal")) {
    for (const name of ["done", "seal", "last"]) address.searchParams.delete(name);
    history.replaceState(history.state, "", address);
  }

  // After a refusal, the focus is on the form.
  document.getElementById("problem")?.focus();

  if (!body.dataset.live || !(list || detail)) return;

  // ---- The list: refetched and replaced; selection, input and focus are kept.
  const keys = () => new Set([...list.querySelectorAll("[data-key]")].map((row) => row.dataset.key));
  let shown = list ? keys() : new Set();
  let wanted = false, busy = false, touched = 0;
  for (const kind of ["pointerdown", "keydown"]) {
    list?.addEventListener(kind, () => { touched = Date.now(); }, { passive: true });
  }

  function refreshSoon() {
    if (!list || wanted) return;
    wanted = true;
    setTimeout(refresh, 300);
  }

  async function refresh() {
    // Nothing moves while a finger is on it.
    if (busy || Date.now() - touched < 1000) { setTimeout(refresh, 300); return; }
    wanted = false;
    busy = true;
    try {
      const address = new URL(location.href);
      address.searchParams.set("fragment", list.dataset.fragment);
      const response = await fetch(address, { headers: { accept: "text/html" } });
      if (response.redirected) { say("lost", "You are signed out. Reload the page to sign in."); source?.close(); return; }
      if (response.ok) put(await response.text());
    } catch {
      // The stream reports when the server is back.
    } finally {
      busy = false;
    }
  }

  function put(text) {
    const fresh = new DOMParser().parseFromString(text, "text/html").body;
    const selected = [...list.querySelectorAll("input[type=checkbox]:checked")].map((box) => box.id);
    const written = [...list.querySelectorAll("#bulk-reason, textarea[id]")].map((field) => [field.id, field.value]);
    const focused = list.contains(document.activeElement) ? document.activeElement.id : "";
    const caret = document.activeElement?.selectionStart;
    list.replaceChildren(...fresh.childNodes);
    for (const id of selected) { const box = document.getElementById(id); if (box) box.checked = true; }
    for (const [id, text] of written) { const field = document.getElementById(id); if (field) field.value = text; }
    if (focused) {
      const again = document.getElementById(focused) ?? document.getElementById("main");
      again.focus({ preventScroll: true });
      if (typeof caret === "number" && again.setSelectionRange && again.type !== "checkbox") again.setSelectionRange(caret, caret);
    }
    const before = shown;
    shown = keys();
    tellZone();
    tellCounts();
    tellPicked();
    const arrived = [...shown].filter((key) => !before.has(key));
    const gone = [...before].filter((key) => !shown.has(key)).length;
    for (const key of arrived) list.querySelector(`[data-key="${CSS.escape(key)}"]`)?.classList.add("is-new");
    tellTime();
    notify(arrived);
    if (arrived.length || gone) {
      const news = [arrived.length && `${arrived.length} new`, gone && `${gone} gone`].filter(Boolean).join(", ");
      announcements.textContent = `The list has changed: ${news}. It shows ${shown.size}.`;
    }
  }

  // ---- The number of waiting requests: above the list, in the tabs and in the title.
  function tellCounts() {
    const counts = document.getElementById("counts")?.dataset;
    if (!counts) return;
    for (const told of document.querySelectorAll("[data-count]")) told.textContent = counts[told.dataset.count];
    const icon = document.getElementById("icon");
    const wanted = counts.critical === "true" ? icon.dataset.critical : icon.dataset.usual;
    if (icon.getAttribute("href") !== wanted) icon.href = wanted;
    document.title = document.title.replace(/^(\([^)]*\) )?/, counts.selected ? `(${counts.selected}) ` : "");
  }

  // ---- Notices of this browser: opt-in notifications of new requests while the tab is hidden.
  const notifier = document.getElementById("notify");
  const NOTIFY = "parkbrake.notify";
  const isMine = list && !new URL(location.href).searchParams.has("of");

  function notifies() {
    try { return isMine && Notification.permission === "granted" && localStorage.getItem(NOTIFY) === "on"; } catch { return false; }
  }

  function tellNotifier() {
    if (!notifier || !isMine || !("Notification" in window) || Notification.permission === "denied") return;
    notifier.hidden = false;
    notifier.setAttribute("aria-pressed", String(notifies()));
    notifier.textContent = notifies() ? "Do not notify me in this browser" : "Notify me in this browser";
  }

  notifier?.addEventListener("click", async () => {
    try {
      if (notifies()) localStorage.setItem(NOTIFY, "off");
      else if (await Notification.requestPermission() === "granted") localStorage.setItem(NOTIFY, "on");
    } catch { /* This browser shows no notices, or keeps nothing. */ }
    tellNotifier();
  });
  if (list) tellNotifier();

  function notify(arrived) {
    if (!arrived.length || !document.hidden || !notifies()) return;
    const row = list.querySelector(`[data-key="${CSS.escape(arrived[0])}"]`);
    const what = row?.querySelector("th a")?.textContent ?? "";
    const level = row?.querySelector(".level")?.textContent ?? "";
    const title = arrived.length === 1 ? `${level}: ${what}` : `${arrived.length} new requests wait for you`;
    try {
      const notice = new Notification(title, { body: "parkbrake: opening this decides nothing", tag: arrived[0] });
      notice.onclick = () => { window.focus(); if (arrived.length === 1) row?.querySelector("th a")?.click(); };
    } catch {
      // Some phones show notices only of installed programs.
    }
  }

  // ---- The selection: the whole page at once, and the number of selected requests.
  const boxes = () => [...list.querySelectorAll(".pick input[name=id]")];

  function tellPicked() {
    const all = document.getElementById("pick-all"), told = document.getElementById("picked");
    if (!all || !told) return;
    all.parentElement.hidden = false;
    const picked = boxes().filter((box) => box.checked).length;
    told.textContent = picked ? ` (${picked})` : "";
    all.checked = picked > 0 && picked === boxes().length;
    all.indeterminate = picked > 0 && !all.checked;
  }

  list?.addEventListener("change", (event) => {
    if (event.target.id === "pick-all") for (const box of boxes()) box.checked = event.target.checked;
    tellPicked();
  });
  if (list) tellPicked();

  // ---- The output of a runbook: read once a second while it runs and the page is visible.
  const output = document.querySelector("#output[data-after]");
  const KEPT = 65536;
  // Invisible letters, and letters that reorder others.
  const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
  const visible = (text) => text.replace(UNSEEN, (letter) => `\\u{${letter.charCodeAt(0).toString(16)}}`);

  function append(told) {
    const isAnother = told.after.split(".", 2).join(".") !== output.dataset.after.split(".", 2).join(".");
    for (const field of output.querySelectorAll("[data-stream]")) {
      const name = field.dataset.stream;
      const before = isAnother ? "" : field.textContent;
      if (!isAnother && !told[name]) continue;
      const isAtEnd = field.scrollTop + field.clientHeight >= field.scrollHeight - 4;
      const gap = told[`${name}_truncated`] && before ? "\n[…]\n" : "";
      field.textContent = (before + gap + visible(told[name])).slice(-KEPT);
      if (isAtEnd) field.scrollTop = field.scrollHeight;
    }
    output.dataset.after = told.after;
  }

  async function follow() {
    let goesOn = true;
    try {
      if (!document.hidden) {
        const address = `/workflows/${detail.dataset.workflow}/output?after=${output.dataset.after}`;
        const response = await fetch(address, { headers: { accept: "application/json" } });
        if (response.ok) {
          const told = await response.json();
          if (told.output) append(told.output);
          goesOn = told.running;
        } else {
          goesOn = response.status === 429 || response.status >= 500;
        }
      }
    } catch {
      // The stream reports when the server is back.
    }
    if (goesOn) setTimeout(follow, 1000);
  }

  if (detail && output) setTimeout(follow, 1000);

  // ---- The stream. It is closed while the page is hidden, so that many open pages do not use up
  // the browser's connections.
  let source = null, retry = 0;

  function say(state, text) {
    stream.hidden = false;
    if (stream.dataset.state === state && stream.textContent === text) return;
    if (state === "lost" || stream.dataset.state === "lost") announcements.textContent = text;
    stream.dataset.state = state;
    stream.textContent = text;
  }

  function heard(event) {
    if (event.type === "reset") { lookAgain(); return; }
    refreshSoon();
    if (!detail) return;
    try {
      const told = JSON.parse(event.data);
      if (told.workflow_id === detail.dataset.workflow && told.version > Number(detail.dataset.version)) news();
    } catch {
      // Not our message.
    }
  }

  // Something may have happened between rendering the page and opening the stream.
  async function lookAgain() {
    refreshSoon();
    if (!detail) return;
    try {
      const response = await fetch(`/workflows/${detail.dataset.workflow}`, { headers: { accept: "application/json" } });
      if (response.ok && (await response.json()).workflow.version > Number(detail.dataset.version)) news();
    } catch {
      // The stream reports when the server is back.
    }
  }

  function news() {
    const note = document.getElementById("news");
    if (note) note.hidden = false;
  }

  function listen() {
    clearTimeout(retry);
    source?.close();
    source = new EventSource(body.dataset.live);
    source.onopen = () => {
      say("live", "Live");
      lookAgain();
    };
    source.onerror = () => {
      say("lost", "The connection is lost; what is shown may be old. Trying again.");
      // The browser retries on its own, unless the server refused.
      if (source.readyState === EventSource.CLOSED) retry = setTimeout(listen, 5000);
    };
    for (const name of EVENTS) source.addEventListener(name, heard);
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden && notifies()) return;
    if (document.hidden) {
      clearTimeout(retry);
      source?.close();
      say("none", "Resting");
    } else if (source?.readyState !== EventSource.OPEN) {
      listen();
    }
  });
  if (!document.hidden || notifies()) listen();
})();
