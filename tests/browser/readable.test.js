// Long content is folded, so that a summary of it fits the screen of a phone.

import assert from "node:assert/strict";
import { assertAccessible, assertFits, base, signedIn, submit, test } from "./browser.js";

const phone = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

/// A Terraform plan of about 40 KB.
function plan() {
  const change = (n) => ({
    address: `module.shop.aws_instance.api[${n}]`, type: "aws_instance",
    change: {
      actions: n % 7 === 0 ? ["delete", "create"] : ["update"],
      before: { ami: `ami-${n}`, tags: { Name: `api-${n}`, Owner: "shop" }, user_data: "a".repeat(60) },
      after: { ami: `ami-${n + 1}`, tags: { Name: `api-${n}`, Owner: "store" }, user_data: "b".repeat(60) },
      after_unknown: {}, before_sensitive: {}, after_sensitive: {},
    },
  });
  return { format_version: "1.2", terraform_version: "1.9.8", planned_values: {}, resource_changes: Array.from({ length: 90 }, (_, n) => change(n)) };
}

async function height(page, selector) {
  return (await page.locator(selector).boundingBox()).height;
}

test("a folded Terraform plan of 40 KB fits one screen of a phone", async (t) => {
  const size = JSON.stringify(plan()).length;
  assert.ok(size > 38_000 && size < 60_000, `${size}`);
  const id = await submit({ evidence: { type: "terraform_plan", plan: plan() } });
  for (const javaScriptEnabled of [true, false]) {
    const page = await signedIn(t, "alice", { ...phone, javaScriptEnabled });
    await page.goto(`${base}/inbox/workflows/${id}`);
    assert.ok(await height(page, ".exact") <= phone.viewport.height, `${await height(page, ".exact")}`);
    const text = await page.locator(".terraform").innerText();
    assert.match(text, /13 to replace, 77 to update/);
    await assertFits(page, "a plan");
    await page.locator(".terraform summary").first().click();
    assert.ok(await page.getByText("ami-0", { exact: false }).first().isVisible(), "it opens without a script");
    if (javaScriptEnabled) await assertAccessible(page, "a plan");
  }
});

test("a folded text of 40 KB in the metadata fits one screen of a phone", async (t) => {
  const lines = Array.from({ length: 1000 }, (_, n) => `line ${n} of a plan that somebody pasted`).join("\n");
  const id = await submit({ metadata: { plan: lines, nested: { diff: `--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old\n+new`, more: { rows: [...Array(100).keys()] } } } });
  const page = await signedIn(t, "alice", phone);
  await page.goto(`${base}/inbox/workflows/${id}`);
  assert.ok(await height(page, ".claim") <= phone.viewport.height, `${await height(page, ".claim")}`);
  await assertFits(page, "folded");
  await page.evaluate(() => { for (const details of document.querySelectorAll("details")) details.open = true; });
  await assertFits(page, "open");
  await assertAccessible(page, "open");
  assert.equal(await page.locator(".diff-added").innerText(), "+new");
});
