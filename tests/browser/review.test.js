// Reviewing the waiting requests: one after the other, by keys, on a phone, and in tables.

import assert from "node:assert/strict";
import { assertAccessible, assertFits, base, call, critical, live, signedIn, status, submit, test } from "./browser.js";

const phone = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

/// Requests with their own words, so that a search finds no others.
async function several(word, count) {
  const ids = [];
  for (let number = 1; number <= count; number++) {
    ids.push(await submit({
      description: `${word} ${number}`, resource: `${word}-${number}`,
      action: { type: "external", name: "deploy-service", args: { service: `${word}-${number}`, version: "1.4" } },
    }));
  }
  return ids;
}

test("keys move through the requests and forms, and never decide", async (t) => {
  const ids = await several("keys", 3);
  const page = await signedIn(t, "alice");
  await page.goto(`${base}/?text=keys&sort=oldest`);
  const press = (key) => page.keyboard.press(key);
  const focused = () => page.evaluate(() => document.activeElement.id);
  await press("j");
  assert.equal(await focused(), `open-${ids[0]}`);
  await press("j");
  await press("k");
  await press("j");
  assert.equal(await focused(), `open-${ids[1]}`);
  await press("/");
  assert.equal(await focused(), "text");
  await page.keyboard.type("jj?");
  assert.equal(await page.locator("#text").inputValue(), "jj?", "what is typed into a field is text");
  await page.locator(`#open-${ids[1]}`).focus();
  await press("Enter");
  await page.getByText("2 of 3").waitFor();
  await press("k");
  await page.getByText("1 of 3").waitFor();
  await press("e");
  await page.getByText("2 of 3").waitFor();
  await press("a");
  assert.equal(await focused(), "justification");
  await page.keyboard.press("Escape");
  await page.locator("h1").click();
  await press("r");
  assert.equal(await focused(), "reason");
  for (const id of ids) assert.equal((await status(id)).status, "pending_approval", "no key has decided anything");

  await page.locator("h1").click();
  await press("?");
  const dialog = page.getByRole("dialog", { name: "Keys" });
  await dialog.waitFor();
  await assertAccessible(page, "the keys");
  await dialog.getByLabel("Use these keys in this browser").uncheck();
  await dialog.getByRole("button", { name: "Close" }).click();
  await press("j");
  await page.reload();
  await press("j");
  assert.equal(await page.getByText("2 of 3").count(), 1, "keys that are turned off stay off");
});

test("a decision opens the next request, with the outcome of the last one", async (t) => {
  const ids = await several("onward", 3);
  const page = await signedIn(t, "alice");
  await page.goto(`${base}/?text=onward&sort=oldest`);
  await page.locator(`#open-${ids[0]}`).click();
  let presses = 0;
  for (const [number, id] of ids.entries()) {
    await page.locator(`[data-workflow="${id}"]`).waitFor();
    if (number > 0) assert.match(await page.locator("#last").textContent(), new RegExp(`it released .*onward-${number}`));
    await page.getByRole("button", { name: "Approve exactly this" }).click();
    presses += 1;
  }
  await page.getByRole("heading", { level: 1, name: /Waiting for you/ }).waitFor();
  assert.equal(presses, ids.length, "one press for each");
  for (const id of ids) assert.equal((await status(id)).status, "executing");
  await page.locator("#last").waitFor();
  assert.ok(!page.url().includes("seal="), "what was done is told once");
  await page.reload();
  assert.equal(await page.locator("#last").count(), 0);
});

test("on a phone, a short request and its buttons fit the first screen", async (t) => {
  const [id] = await several("night", 1);
  const page = await signedIn(t, "alice", phone);
  await page.goto(`${base}/inbox/workflows/${id}`);
  const onScreen = async (locator, what) => {
    const { y, height } = await locator.boundingBox();
    assert.ok(y >= 0 && y + height <= 844, `${what} is at ${y} to ${y + height} of 844`);
  };
  const bar = page.getByRole("navigation", { name: "Decide" });
  await onScreen(bar.getByRole("link", { name: "Approve" }), "Approve");
  await onScreen(bar.getByRole("link", { name: "Reject" }), "Reject");
  await onScreen(page.getByRole("heading", { level: 1 }), "what would be done");
  await onScreen(page.locator("blockquote"), "what the requester says");
  await assertFits(page, "the page");
  await bar.getByRole("link", { name: "Approve" }).click();
  const form = page.locator("form#approve");
  await onScreen(form.getByRole("button"), "the button that approves");
  assert.equal((await status(id)).status, "pending_approval");
  await form.getByRole("button").click();
  await page.locator(".note-good").waitFor();
  assert.equal((await status(id)).status, "executing");
});

test("on 320 pixels, nothing overflows and requests can be decided without a script", async (t) => {
  const ids = await several("narrow", 2);
  const page = await signedIn(t, "alice", { viewport: { width: 320, height: 640 }, javaScriptEnabled: false });
  for (const path of ["/?text=narrow", "/?text=narrow&group=kind", `/inbox/workflows/${ids[0]}?in=text%3Dnarrow`]) {
    await page.goto(base + path);
    await assertFits(page, path);
  }
  await page.getByRole("link", { name: "Approve", exact: true }).click();
  await page.getByRole("button", { name: "Approve exactly this" }).click();
  await page.locator("#last").waitFor();
  assert.equal((await status(ids[0])).status, "executing");
});

test("requests of one kind are approved one by one in their table", async (t) => {
  const ids = await several("table", 4);
  const page = await signedIn(t, "alice");
  await page.goto(`${base}/?text=table&group=kind&sort=oldest`);
  await live(page);
  const table = page.getByRole("table", { name: "Where they differ" });
  assert.equal(await table.getByRole("button").count(), 4);
  await assertAccessible(page, "a table of requests");
  const reason = page.getByLabel("Reason for the one that you approve");
  await reason.fill("half a sen");
  const [late] = await several("table-late", 1);
  await page.locator(`[data-key="${late}"]`).waitFor();
  assert.equal(await reason.inputValue(), "half a sen", "what is written stays while the list changes");
  await reason.focus();
  await page.keyboard.press("Enter");
  for (const id of ids) assert.equal((await status(id)).status, "pending_approval", "Enter approves nothing");
  for (const id of ids) {
    await page.locator(`[data-key="${id}"]`).getByRole("button").click();
    await page.locator("#last").waitFor();
    await page.locator(`[data-key="${id}"]`).waitFor({ state: "detached" });
    assert.equal((await status(id)).status, "executing");
    await page.waitForLoadState("load");
  }
});

test("title, tabs and icon show the number and urgency", async (t) => {
  const page = await signedIn(t, "cora");
  await live(page);
  const count = async () => Number(/^\((\d+)\) /.exec(await page.title())?.[1] ?? 0);
  const before = await count();
  const id = await submit(critical);
  await page.locator(`[data-key="${id}"]`).waitFor();
  assert.equal(await count(), before + 1);
  assert.equal(await page.locator('[data-count="mine"]').textContent(), String(before + 1));
  assert.match(await page.locator("#icon").getAttribute("href"), /critical/);
  await call("cora", "POST", `/workflows/${id}/reject`, { reason: "no" });
  await page.locator(`[data-key="${id}"]`).waitFor({ state: "detached" });
  assert.equal(await count(), before);
});

test("times are in the device's time zone, with UTC in their tooltips", async (t) => {
  const id = await submit();
  const page = await signedIn(t, "alice", { timezoneId: "Asia/Kolkata" });
  await page.goto(`${base}/inbox/workflows/${id}`);
  const time = page.locator("time[data-absolute]").first();
  const [said, utc, iso] = [await time.textContent(), await time.getAttribute("title"), await time.getAttribute("datetime")];
  assert.match(utc, /UTC$/);
  const minutes = (text) => { const [, hour, minute] = / (\d+):(\d+)/.exec(text); return Number(hour) * 60 + Number(minute); };
  assert.equal((minutes(said) - minutes(utc) + 1440) % 1440, 330, `${said} is ${iso}`);
  const bare = await signedIn(t, "alice", { javaScriptEnabled: false, timezoneId: "Asia/Kolkata" });
  await bare.goto(`${base}/inbox/workflows/${id}`);
  assert.match(await bare.locator("time[data-absolute]").first().textContent(), /UTC$/);
});

test("a hidden tab with permission notifies of new requests", async (t) => {
  const page = await signedIn(t, "alice", { permissions: ["notifications"] });
  await page.addInitScript(() => {
    window.notices = [];
    window.Notification = class { static permission = "granted"; static async requestPermission() { return "granted"; } constructor(title) { window.notices.push(title); } };
  });
  // Earlier tests leave so many waiting requests that, in the usual order, a new one may be on the
  // second page.
  await page.goto(new URL("/?sort=newest", page.url()).href);
  await live(page);
  const hide = (hidden) => page.evaluate((hidden) => {
    Object.defineProperty(document, "hidden", { configurable: true, value: hidden });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);
  const seen = await submit();
  await page.locator(`[data-key="${seen}"]`).waitFor();
  await page.getByRole("button", { name: "Notify me in this browser" }).click();
  await page.getByRole("button", { name: "Do not notify me in this browser" }).waitFor();
  await hide(true);
  await submit({ resource: "told" });
  await page.waitForFunction(() => window.notices.length > 0);
  const notices = await page.evaluate(() => window.notices);
  assert.ok(notices.length === 1 && /high: .*told/.test(notices[0]), JSON.stringify(notices));
});
