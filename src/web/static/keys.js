// Keyboard shortcuts, which can be turned off. None of them decides: `a` and `r` lead to the forms.
"use strict";

(() => {
  const dialog = document.getElementById("keys");
  if (!dialog) return;
  const opener = document.getElementById("show-keys"), switcher = document.getElementById("use-keys");
  const KEY = "parkbrake.keys";
  let isOn = true;
  try { isOn = localStorage.getItem(KEY) !== "off"; } catch { /* Nothing is kept in this browser. */ }
  switcher.checked = isOn;
  switcher.addEventListener("change", () => {
    isOn = switcher.checked;
    try { localStorage.setItem(KEY, isOn ? "on" : "off"); } catch { /* It holds until the page is left. */ }
  });
  opener.hidden = false;
  opener.addEventListener("click", () => dialog.showModal());

  const follow = (rel) => document.querySelector(`.walk a[rel="${rel}"]`)?.click();

  // The request before or after the focused one in a list, or before or after the open one.
  function step(by) {
    const links = [...document.querySelectorAll("#list tbody th a")];
    if (!document.getElementById("list")) return follow(by > 0 ? "next" : "prev");
    const row = document.activeElement?.closest("#list tbody tr");
    const at = links.findIndex((link) => row?.contains(link));
    const wanted = links[at < 0 ? (by > 0 ? 0 : links.length - 1) : at + by];
    wanted?.focus();
    wanted?.scrollIntoView({ block: "nearest" });
  }

  function toForm(id) {
    const form = document.getElementById(id);
    if (!form) return false;
    form.querySelector("textarea, input:not([type=hidden])")?.focus({ preventScroll: true });
    form.scrollIntoView({ block: "center" });
    return true;
  }

  function search() {
    const field = document.getElementById("text");
    if (field) { field.focus(); field.select(); return; }
    const list = document.querySelector(".walk a, .back a");
    if (list) location.assign(`${list.getAttribute("href")}#text`);
  }
  if (location.hash === "#text") search();

  for (const link of document.querySelectorAll(".bar a.button")) {
    link.addEventListener("click", (event) => { if (toForm(link.hash.slice(1))) event.preventDefault(); });
  }

  const actions = {
    j: () => step(1), k: () => step(-1), e: () => follow("next"), a: () => toForm("approve"), r: () => toForm("reject"), "/": search,
    "?": () => dialog.showModal(),
  };
  document.addEventListener("keydown", (event) => {
    if (!isOn || dialog.open || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable]")) return;
    const action = Object.hasOwn(actions, event.key) && actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
})();
