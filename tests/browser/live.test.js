// Events while a page is open.

import assert from "node:assert/strict";
import { base, call, live, proxy, signedIn, submit, test } from "./browser.js";

test("an open list shows a new request, and removes a cancelled one", async (t) => {
  const page = await signedIn(t, "alice");
  await live(page);
  await page.evaluate(() => { window.sameDocument = true; });
  const id = await submit({ description: "Arrives live" });
  const row = page.locator(`[data-key="${id}"]`);
  await row.waitFor();
  assert.match(await row.textContent(), /Arrives live/);
  await page.waitForFunction(() => document.getElementById("announcements").textContent.includes("1 new"));
  await call("deploy-bot", "POST", `/workflows/${id}/cancel`, {});
  await row.waitFor({ state: "detached" });
  assert.ok(await page.evaluate(() => window.sameDocument), "the page was loaded again");
});

test("selection, input and focus are kept while the list changes", async (t) => {
  const first = await submit();
  const page = await signedIn(t, "alice");
  await live(page);
  await page.locator(`#pick-${first}`).check();
  await page.getByLabel("Reason for all of them").fill("half a sen");
  const id = await submit();
  await page.locator(`[data-key="${id}"]`).waitFor();
  assert.ok(await page.locator(`#pick-${first}`).isChecked());
  assert.equal(await page.getByLabel("Reason for all of them").inputValue(), "half a sen");
  assert.equal(await page.evaluate(() => document.activeElement.id), "bulk-reason");
});

test("a request before the stream opened is shown", async (t) => {
  const page = await signedIn(t, "alice");
  // The stream opens only after an event that the page does not show yet.
  let release;
  const held = new Promise((resolve) => { release = resolve; });
  await page.route("**/events**", async (route) => { await held; await route.continue(); });
  await page.reload();
  const id = await submit({ description: "In between" });
  release();
  await page.locator(`[data-key="${id}"]`).waitFor();
});

test("a decision before the stream opened is shown", async (t) => {
  const id = await submit();
  const page = await signedIn(t, "alice");
  let release;
  const held = new Promise((resolve) => { release = resolve; });
  await page.route("**/events**", async (route) => { await held; await route.continue(); });
  await page.goto(`${base}/inbox/workflows/${id}`);
  await call("deploy-bot", "POST", `/workflows/${id}/cancel`, { reason: "not needed" });
  release();
  await page.locator("#news").waitFor();
});

test("an open page shows that its request was decided elsewhere", async (t) => {
  const id = await submit();
  const page = await signedIn(t, "alice");
  await page.goto(`${base}/inbox/workflows/${id}`);
  await live(page);
  assert.ok(await page.locator("#news").isHidden());
  await call("deploy-bot", "POST", `/workflows/${id}/cancel`, { reason: "not needed" });
  await page.locator("#news").waitFor();
});

test("a cut connection is restored, with the events meanwhile", async (t) => {
  const between = await proxy(t);
  const page = await signedIn(t, "alice", { at: between.at });
  await live(page);
  between.cut();
  await page.locator('#stream[data-state="lost"]').waitFor();
  const id = await submit({ description: "While it was cut" });
  assert.equal(await page.locator(`[data-key="${id}"]`).count(), 0);
  between.mend();
  await page.locator(`[data-key="${id}"]`).waitFor();
  await live(page);
  const later = await submit();
  await page.locator(`[data-key="${later}"]`).waitFor();
});

test("a stream resumes where the connection was cut", async (t) => {
  // The reconnection of the browser itself, without reading the list again.
  const between = await proxy(t);
  const page = await signedIn(t, "alice", { at: between.at });
  await page.evaluate(() => new Promise((resolve) => {
    window.received = [];
    const source = new EventSource("/events");
    source.onopen = resolve;
    source.addEventListener("submitted", (event) => window.received.push(JSON.parse(event.data).workflow_id));
  }));
  const received = (id) => page.waitForFunction((id) => window.received.includes(id), id);
  await received(await submit());
  between.cut();
  const away = [await submit(), await submit()];
  between.mend();
  for (const id of away) await received(id);
});
