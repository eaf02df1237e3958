// The screenshots of the documentation: `support/scripts/browser-test.sh --screenshots` renews
// them.

import test from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { base, call, critical, live, signedIn, submit } from "./browser.js";

const folder = new URL("../../support/docs/images/", import.meta.url).pathname;
const desktop = { viewport: { width: 1000, height: 760 } };
const phone = { viewport: { width: 390, height: 760 }, deviceScaleFactor: 1.5, hasTouch: true, isMobile: true };

const deployment = (service, version) => ({
  description: `Deploy ${service} ${version}: the fix for the slow search`, resource: service, task_id: `OPS-${service.length * 37}`,
  action: { type: "runbook", name: "deploy-service", args: { service, version } },
});

async function approve(id) {
  await call("alice", "POST", `/workflows/${id}/approve`, { justification: "Tests are green, and the change was reviewed" });
}

/// Some history: requests that were approved or rejected after some time.
async function history() {
  const way = async (n) => {
    const task = n % 3 === 0 ? { description: "Build on large machines", operation: "build", environment: "development", resource_type: "code", resource: "ci", estimated_cost: 250 } : deployment(["api", "search", "billing"][n % 3], `1.${n}.0`);
    const id = await submit(task);
    await pause(1500 * n);
    const by = n % 4 === 3 && n % 3 !== 0 ? "cora" : "alice";
    if (n % 5 === 4) await call("alice", "POST", `/workflows/${id}/reject`, { reason: "Not before the weekend" });
    else if (by === "alice") await approve(id);
    else await call("deploy-bot", "POST", `/workflows/${id}/cancel`, { reason: "Superseded" });
  };
  const deep = async (n) => {
    const id = await submit({ ...critical, resource: `orders-${2020 + n}` });
    await pause(2500 * n);
    await call("cora", "POST", `/workflows/${id}/reject`, { reason: "No backup of it was tried" });
  };
  await Promise.all([...Array(12).keys()].map(way).concat([1, 3, 4].map(deep)));
}

test("pictures", { timeout: 120_000 }, async (t) => {
  await approve(await submit(deployment("api", "1.4.1")));
  await history();
  const build = { description: "Build on large machines", operation: "build", environment: "development", resource_type: "code", resource: "ci", estimated_cost: 250 };
  await submit(build);
  await submit({ ...deployment("billing", "2.0.0"), description: "Deploy billing 2.0.0, so that invoices have the new address" });
  const deep = await submit({ ...critical, description: "The orders of 2019 are in the archive; the table is not needed any more", resource: "orders-2019" });
  await submit(deployment("search", "3.1.0"));
  const high = await submit(deployment("api", "1.4.2"));

  const picture = async (page, name, path, options = {}) => {
    await page.goto(base + path);
    if (!options.isStill) await live(page);
    await options.prepare?.(page);
    await page.screenshot({ path: `${folder}${name}.png`, fullPage: options.fullPage ?? false });
  };
  const alice = await signedIn(t, "alice", desktop);
  await picture(alice, "list", "/?of=all");
  await picture(alice, "groups", "/?group=kind", { fullPage: true });
  await picture(alice, "detail", `/inbox/workflows/${high}?in=of%3Dmine`);
  await picture(alice, "statistics", "/inbox/statistics?days=7", { fullPage: true, isStill: true });
  const cora = await signedIn(t, "cora", desktop);
  const confirm = async (page) => {
    await page.getByLabel("Reason for approving").fill("The archive was read back, and is whole");
    await page.getByLabel(/Type its target/).fill("orders");
    await page.getByRole("heading", { name: "Decide" }).scrollIntoViewIfNeeded();
  };
  await picture(cora, "critical", `/inbox/workflows/${deep}`, { prepare: confirm });
  const dark = await signedIn(t, "alice", { ...desktop, colorScheme: "dark" });
  await picture(dark, "dark", "/?of=all");
  const small = await signedIn(t, "alice", phone);
  await picture(small, "phone", `/inbox/workflows/${high}?in=of%3Dmine`);
});
