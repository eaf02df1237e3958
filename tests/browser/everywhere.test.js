// Rules for every page: in light and dark, on a phone, and with hostile text of agents.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { assertAccessible, assertFits, base, call, critical, open, signedIn, status, submit, test } from "./browser.js";

/// The pages, each with content.
async function pages() {
  const [waiting, deep, decided, rejected] = [await submit(), await submit(critical), await submit(), await submit()];
  await call("alice", "POST", `/workflows/${decided}/approve`, { justification: "looked at it" });
  await call("deploy-bot", "POST", `/workflows/${decided}/result`, { outcome: "failed", error: "no room left" });
  await call("alice", "POST", `/workflows/${rejected}/reject`, { reason: "not today" });
  return {
    "what waits for me": "/",
    "what waits": "/?of=all",
    "a filter": "/?of=all&level=critical&text=orders",
    "alike together": "/?of=all&group=kind",
    "one request": `/inbox/workflows/${waiting}`,
    "one of a list": `/inbox/workflows/${waiting}?in=of%3Dall`,
    "a critical one": `/inbox/workflows/${deep}`,
    "one that has failed": `/inbox/workflows/${decided}`,
    "one that was rejected": `/inbox/workflows/${rejected}`,
    history: "/inbox/history",
    "a search": "/inbox/history?text=orders&status=pending_approval",
    "a person": "/inbox/people/alice",
    statistics: "/inbox/statistics?days=7",
    "statistics of a year": "/inbox/statistics?days=365",
    policy: "/inbox/policy",
    "a task that is tried": "/inbox/policy?operation=deploy&environment=production&resource=api&resource_type=service",
    "a task that is none": "/inbox/policy?operation=deploy&estimated_cost=much",
    system: "/inbox/system",
    grants: "/inbox/grants",
    halts: "/inbox/halts",
    "notices in browsers": "/inbox/push",
    "what is not there": "/inbox/workflows/0198f0a0-0000-7000-8000-000000000000",
  };
}

/// Opens everything that is folded.
function unfold(page) {
  return page.evaluate(() => { for (const details of document.querySelectorAll("details")) details.open = true; });
}

for (const colorScheme of ["light", "dark"]) {
  test(`axe-core finds no violation, in ${colorScheme}`, async (t) => {
    const nobody = await open(t, { colorScheme });
    await nobody.goto(`${base}/sign-in`);
    await assertAccessible(nobody, "signing in");
    const page = await signedIn(t, "cora", { colorScheme });
    for (const [what, path] of Object.entries(await pages())) {
      await page.goto(base + path);
      await unfold(page);
      await assertAccessible(page, what);
    }
  });
}

for (const width of [390, 320]) test(`no page overflows ${width} pixels`, async (t) => {
  const phone = { viewport: { width, height: 844 }, hasTouch: true, isMobile: true };
  const nobody = await open(t, phone);
  await nobody.goto(`${base}/sign-in`);
  await assertFits(nobody, "signing in");
  const page = await signedIn(t, "cora", phone);
  for (const [what, path] of Object.entries(await pages())) {
    await page.goto(base + path);
    await unfold(page);
    await assertFits(page, what);
  }
  await page.goto(`${base}/`);
  await assertAccessible(page, "the list on a phone");
});

test("every page has less than 40 KB", async (t) => {
  const page = await signedIn(t, "cora");
  for (const [what, path] of Object.entries(await pages())) {
    const response = await page.goto(base + path);
    const { responseBodySize: sent } = await response.request().sizes();
    assert.ok(sent > 0 && sent < 40_000, `${what}: ${sent} bytes`);
    assert.equal(response.headers()["content-encoding"], "gzip", what);
  }
});

test("every page has the same content without a script", async (t) => {
  const [plain, scripted] = [await signedIn(t, "cora", { javaScriptEnabled: false }), await signedIn(t, "cora")];
  const headings = (page) => page.locator("main :is(h1, h2, h3, summary, button[type=submit], a[href])").count();
  for (const [what, path] of Object.entries(await pages())) {
    await plain.goto(base + path);
    await scripted.goto(base + path);
    assert.ok(await plain.locator("main h1").isVisible(), what);
    assert.equal(await headings(plain), await headings(scripted), what);
  }
  // A form on a page without a script reaches the server.
  await plain.goto(`${base}/inbox/policy`);
  await plain.getByLabel("Operation").fill("delete");
  await plain.getByRole("button", { name: "Try" }).click();
  await plain.locator("#tried").waitFor();
});

test("the history can be exported as one file", async (t) => {
  const id = await submit();
  const page = await signedIn(t, "cora");
  await page.goto(`${base}/inbox/history`);
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "JSON lines" }).click()]);
  const lines = readFileSync(await download.path(), "utf8").trimEnd().split("\n").map((line) => JSON.parse(line));
  assert.ok(lines.some((line) => line.workflow_id === id && line.problem === null), download.suggestedFilename());
});

test("requests can be read and decided without a script", async (t) => {
  const id = await submit();
  const page = await signedIn(t, "alice", { javaScriptEnabled: false });
  await page.locator(`#open-${id}`).click();
  await page.getByLabel("Reason for approving").fill("read without a script");
  await page.getByRole("button", { name: "Approve exactly this" }).click();
  await page.locator(".note-good").waitFor();
  assert.equal((await status(id)).status, "executing");
});

test("agents' text is never markup", async (t) => {
  const hostile = [
    "<script>window.pwned = 1</script><img src=x onerror='window.pwned = 2'>",
    "\"><svg onload=window.pwned=3>{{ 7 * 7 }}{% raw %}",
    "approved by alice \u202e ecila yb devorppa \u2066\u200b\u00ad",
    "x".repeat(2000),
    "a\u0301".repeat(300),
    "javascript:window.pwned=4",
  ];
  const phone = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
  const [page, small] = [await signedIn(t, "alice"), await signedIn(t, "alice", phone)];
  for (const text of hostile) {
    // The name of a resource is visible ASCII.
    const resource = text.slice(0, 100).replace(/[^ -~]/g, "");
    const id = await submit({ description: text, resource, task_id: text.slice(0, 100), metadata: { [text.slice(0, 60)]: text } })
      .catch(() => submit({ description: text, metadata: { note: text } }));
    for (const path of ["/", `/inbox/workflows/${id}`, "/inbox/history"]) {
      await page.goto(base + path);
      await unfold(page);
      const shown = await page.locator("main").evaluate((main) => main.textContent);
      assert.ok(!/[\u202a-\u202e\u2066-\u2069\u200b\u00ad]/.test(shown), `${path} shows invisible characters: ${text}`);
      assert.ok(!shown.includes("49{%") && !(await page.evaluate(() => "pwned" in window)), `${path}: ${text}`);
      assert.equal(await page.locator("main :is(script, img, iframe, [onerror], [onload], a[href^='javascript:' i])").count(), 0);
      await small.goto(base + path);
      await assertFits(small, `${path} with ${text.slice(0, 40)}`);
    }
    await call("alice", "POST", `/workflows/${id}/reject`, { reason: text });
  }
  await page.goto(`${base}/inbox/people/alice`);
  assert.ok(!(await page.evaluate(() => "pwned" in window)));
});

test("the statistics count decisions", async (t) => {
  const id = await submit();
  await call("alice", "POST", `/workflows/${id}/approve`, { justification: "looked at it" });
  const page = await signedIn(t, "alice");
  await page.getByRole("link", { name: "Statistics" }).click();
  await page.waitForURL("**/inbox/statistics");
  const charts = page.getByRole("img");
  assert.ok(await charts.count() >= 6);
  for (const chart of await charts.all()) {
    const { width, height } = await chart.boundingBox();
    assert.ok(width > 300 && height > 80, `${width} × ${height}`);
    assert.ok(await chart.locator("rect").count() > 0);
  }
  const table = page.getByRole("figure", { name: "Time to the decision, by role" }).locator("table");
  assert.match(await table.evaluate((table) => table.textContent), /team_lead\s*\d+/);
  await page.getByRole("link", { name: "7 days" }).click();
  await page.waitForURL("**/inbox/statistics?days=7");
  assert.equal(await page.locator('a[aria-current="page"]', { hasText: "7 days" }).count(), 1);
});
