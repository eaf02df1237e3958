// Signing in, reading, deciding.

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { assertAccessible, base, call, critical, open, signedIn, status, submit, test, token } from "./browser.js";

test("after signing in, a person gets the page that they opened", async (t) => {
  const id = await submit();
  const page = await open(t);
  await page.goto(`${base}/inbox/workflows/${id}`);
  assert.equal(new URL(page.url()).pathname, "/sign-in");
  await page.getByLabel("Your token").fill("pbk_not_one");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("alert").waitFor();
  await page.getByLabel("Your token").fill(token("deploy-bot"));
  await page.getByRole("button", { name: "Sign in" }).click();
  assert.match(await page.getByRole("alert").textContent(), /agent/);
  await page.getByLabel("Your token").fill(token("alice"));
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL(`**/inbox/workflows/${id}`);
  const cookies = await page.context().cookies();
  assert.deepEqual(cookies.map(({ name, httpOnly, secure }) => ({ name, httpOnly, secure })), [{ name: "__Host-parkbrake", httpOnly: true, secure: true }]);

  await page.getByRole("button", { name: "Sign out" }).click();
  await page.waitForURL("**/sign-in");
  await page.goto(`${base}/`);
  assert.equal(new URL(page.url()).pathname, "/sign-in", "the session is over");
});

test("a link signs in once, by its button and not by being opened", async (t) => {
  const { path } = await call("alice", "POST", "/sign-in/links", {});
  const page = await open(t);
  await page.goto(base + path);
  await page.goto(base + path);
  await assertAccessible(page, "a link for signing in");
  await page.getByRole("button", { name: "Sign in as alice" }).click();
  await page.waitForURL(`${base}/`);
  assert.match(await page.locator(".me").textContent(), /alice/);
  const other = await open(t);
  await other.goto(base + path);
  assert.match(await other.getByRole("alert").textContent(), /has been used/);
  await assertAccessible(other, "a link that was used");
});

test("approving from the page completes the request", async (t) => {
  const id = await submit({ description: "Deploy api 1.4.2" });
  const page = await signedIn(t, "alice");
  await page.locator(`[data-key="${id}"] a`).click();
  await page.waitForURL(new RegExp(`/inbox/workflows/${id}\\?`));
  const { digest } = await status(id);
  assert.ok((await page.locator("main").textContent()).includes(digest), "the digest of what would run is shown");
  const justification = page.getByLabel("Reason for approving");
  await justification.fill("tests are green");
  await page.getByRole("button", { name: "Approve exactly this" }).click();
  await page.locator(".note-good").waitFor();
  const after = await status(id);
  assert.equal(after.status, "executing");
  assert.deepEqual(after.decisions.map(({ approver, verdict, justification }) => [approver, verdict, justification]), [["alice", "approved", "tests are green"]]);
  await page.goto(`${base}/`);
  assert.equal(await page.locator(`[data-key="${id}"]`).count(), 0);
});

test("the reason of a rejection is stored", async (t) => {
  const id = await submit();
  const page = await signedIn(t, "alice");
  await page.goto(`${base}/inbox/workflows/${id}`);
  await page.getByLabel("Reason for rejecting").fill("not before the weekend");
  await page.getByRole("button", { name: "Reject" }).click();
  await page.locator(".note-good").waitFor();
  const after = await status(id);
  assert.deepEqual([after.status, after.decisions[0].justification], ["rejected", "not before the weekend"]);
});

test("several requests can be rejected at once, but not approved", async (t) => {
  const ids = [await submit(), await submit()];
  const other = await submit();
  const page = await signedIn(t, "alice");
  for (const id of ids) await page.locator(`#pick-${id}`).check();
  await page.getByLabel("Reason for all of them").fill("a freeze");
  await page.getByRole("button", { name: "Reject selected (2)" }).click();
  await page.getByRole("button", { name: "Reject 2 requests" }).click();
  await page.getByRole("heading", { level: 1 }).waitFor();
  await assert.doesNotReject(page.getByText(/2 /).first().waitFor());
  for (const id of ids) assert.equal((await status(id)).status, "rejected");
  assert.equal((await status(other)).status, "pending_approval");
  assert.equal(await page.getByRole("button", { name: /approve/i }).count(), 0);
});

test("a critical request needs its target typed exactly", async (t) => {
  const id = await submit(critical);
  const page = await signedIn(t, "cora");
  await page.goto(`${base}/inbox/workflows/${id}`);
  const wanted = await page.locator("label .typed").textContent();
  assert.ok(wanted.includes("orders"), wanted);
  const approve = async (confirmation) => {
    await page.getByLabel("Reason for approving").fill("the backup was restored for a trial");
    await page.getByLabel(/Type its target to confirm/).fill(confirmation);
    await page.getByRole("button", { name: "Approve exactly this" }).click();
  };
  for (const wrong of ["order", `${wanted.slice(0, -1)}x`, wanted.toUpperCase() === wanted ? wanted.toLowerCase() : wanted.toUpperCase()]) {
    await approve(wrong);
    await page.locator("#problem").waitFor();
    assert.deepEqual((await status(id)).decisions, [], `“${wrong}” is not “${wanted}”`);
    assert.equal(await page.getByLabel("Reason for approving").inputValue(), "the backup was restored for a trial", "the input is kept");
  }
  await approve(wanted);
  await page.locator(".note-good").waitFor();
  const after = await status(id);
  assert.deepEqual(after.decisions.map(({ approver, verdict }) => [approver, verdict]), [["cora", "approved"]]);
  assert.equal(after.status, "pending_approval", "a second person has to agree");
});

test("resolving an unknown outcome needs a reason", async (t) => {
  // As after a crash, the outcome is unknown; here because nobody has reported it in time.
  const id = await submit({ description: "Build on large machines", operation: "build", environment: "development", resource_type: "code", estimated_cost: 250 });
  await call("alice", "POST", `/workflows/${id}/approve`, { justification: "tests are green" });
  for (let tries = 0; (await status(id)).status !== "outcome_unknown"; tries++) {
    assert.ok(tries < 200, "its time to report is not over");
    await pause(100);
  }
  const page = await signedIn(t, "alice");
  await page.goto(`${base}/inbox/workflows/${id}`);
  await page.getByRole("heading", { name: "Resolve the outcome" }).waitFor();
  const resolve = page.locator("#resolve");
  await resolve.getByRole("button").click();
  assert.equal((await status(id)).status, "outcome_unknown", "an outcome and a reason are required");
  await resolve.getByRole("radio").first().check();
  await resolve.locator("textarea").fill("the build is in the registry");
  await resolve.getByRole("button").click();
  await page.getByText("You have resolved the outcome.").waitFor();
  const after = await status(id);
  assert.equal(after.status, "completed");
  const last = after.history.at(-1);
  assert.deepEqual([last.event, last.actor, last.via, last.detail.justification], ["resolved", "alice", "inbox", "the build is in the registry"]);
  assert.equal(await page.locator("#resolve").count(), 0, "nothing is left to resolve");
});

test("a request can be approved with the keyboard alone", async (t) => {
  const id = await submit({ description: "By keyboard" });
  const page = await open(t);
  const press = (key) => page.keyboard.press(key);
  const tabTo = async (selector) => {
    for (let tabs = 0; tabs < 200; tabs++) {
      if (await page.evaluate((wanted) => document.activeElement?.matches(wanted), selector)) {
        const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
        assert.notEqual(outline, "none", `${selector} shows that it has the focus`);
        return;
      }
      await press("Tab");
    }
    assert.fail(`${selector} cannot be reached`);
  };
  await page.goto(`${base}/`);
  await tabTo("#token");
  await page.keyboard.type(token("alice"));
  await press("Enter");
  await page.waitForURL(`${base}/`);
  await press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.className), "skip", "the first stop leads past the menu");
  await tabTo(`#open-${id}`);
  await press("Enter");
  await page.waitForURL(new RegExp(`/inbox/workflows/${id}\\?`));
  await tabTo("#justification");
  await page.keyboard.type("by keyboard alone");
  await tabTo(`form[action$="/approve"] button`);
  await press("Enter");
  await page.locator(".note-good").waitFor();
  assert.equal((await status(id)).status, "executing");
});
