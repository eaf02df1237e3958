// Shared by the tests: a browser, people who are signed in, agents that submit tasks, and a
// connection that can be cut.

import declare, { after, before } from "node:test";
import assert from "node:assert/strict";
import net from "node:net";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

// "localhost", because without TLS, browsers keep the cookies of a session only there.
export const base = required("PARKBRAKE_URL").replace("127.0.0.1", "localhost");
const tokens = new Map(
  readFileSync(required("PARKBRAKE_TOKENS"), "utf8").split("\n")
    .filter((line) => /^[^#\s]+\s+\S+\s+pbk_/.test(line))
    .map((line) => line.split(/\s+/).slice(1, 3)),
);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

function required(name) {
  return process.env[name] ?? assert.fail(`${name} is not set: start the tests with support/scripts/browser-test.sh`);
}

export function token(name) {
  return tokens.get(name) ?? assert.fail(`${name} has no token`);
}

/// A test that may take a minute. The limit is here and not in `--test-timeout`, which Node 18.19
/// does not support.
export function test(name, body) {
  return declare(name, { timeout: 60_000 }, body);
}

// ---- The browser. Each test has its own pages, without state from other tests.

let browser;

function launch(chromiumSandbox) {
  return chromium.launch({
    executablePath: required("PARKBRAKE_CHROMIUM"),
    chromiumSandbox,
    args: [
      "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    ],
  });
}

before(async () => {
  try {
    browser = await launch(process.getuid?.() !== 0);
  } catch (error) {
    if (!/sandbox/i.test(String(error))) throw error;
    console.error("Chromium cannot use its sandbox here, so it runs without one: it opens only the pages of the server under test");
    browser = await launch(false);
  }
});

after(() => browser?.close());

/// A page on which a console error or a foreign request fails the test.
export async function open(t, { at = base, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  const complaints = [];
  page.complaints = complaints;
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`));
  });
  page.on("console", (message) => {
    // Some tests cut the connection or send a form that is refused, which browsers report as
    // errors.
    if (message.type() === "error" && !/^Failed to load resource/.test(message.text())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(`script: ${error}`));
  page.on("request", (request) => {
    if (new URL(request.url()).origin !== new URL(at).origin) complaints.push(`a request to ${request.url()}`);
  });
  t.after(async () => {
    await context.close();
    assert.deepEqual(complaints, []);
  });
  page.at = at;
  return page;
}

/// A page of somebody who has signed in.
export async function signedIn(t, name, options) {
  const page = await open(t, options);
  await page.goto(`${page.at}/sign-in`);
  await page.getByLabel("Your token").fill(token(name));
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL(`${page.at}/`);
  return page;
}

/// Waits until the page's event stream is open.
export function live(page) {
  return page.locator('#stream[data-state="live"]').waitFor();
}

// ---- The API, as agents and people call it.

export async function call(name, method, path, body) {
  const response = await fetch(base + path, {
    method,
    headers: { authorization: `Bearer ${token(name)}`, "content-type": "application/json" },
    body: body && JSON.stringify(body),
  });
  const answer = await response.json();
  assert.ok(response.ok, `${method} ${path}: ${response.status} ${JSON.stringify(answer)}`);
  return answer;
}

/// Submits a task of high risk, with changes.
export async function submit(task = {}) {
  const high = { description: "Deploy", operation: "deploy", environment: "production", resource_type: "service", resource: "api" };
  const accepted = await call("deploy-bot", "POST", "/orchestrate", { ...high, ...task });
  return accepted.workflow_id;
}

export const critical = { description: "Remove the old orders", operation: "delete", resource_type: "database", resource: "orders" };

export async function status(id) {
  return (await call("alice", "GET", `/workflows/${id}/status`)).workflow;
}

// ---- A connection that can be cut.

/// Forwards bytes to the server until it is cut.
export async function proxy(t) {
  const sockets = new Set();
  const server = { isCut: false };
  const listener = net.createServer((from) => {
    if (server.isCut) return from.destroy();
    const to = net.connect(Number(new URL(base).port), "127.0.0.1");
    for (const [one, other] of [[from, to], [to, from]]) {
      sockets.add(one);
      one.pipe(other);
      one.on("error", () => other.destroy());
      one.on("close", () => { sockets.delete(one); other.destroy(); });
    }
  });
  server.cut = () => { server.isCut = true; for (const socket of sockets) socket.destroy(); };
  server.mend = () => { server.isCut = false; };
  await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
  server.at = `http://localhost:${listener.address().port}`;
  t.after(() => { server.cut(); listener.close(); });
  return server;
}

// ---- Rules for every page.

/// axe-core finds no violation of WCAG 2.1 A and AA, or of its best practices.
export async function assertAccessible(page, what) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const found = violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => `${node.html}\n${node.failureSummary}`).join("; ")}`);
  assert.deepEqual(found, [], what);
}

/// No horizontal scrolling.
export async function assertFits(page, what) {
  const { content, screen } = await page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    return { content: scrollWidth, screen: clientWidth };
  });
  assert.ok(content <= screen, `${what} is ${content} pixels wide on a screen of ${screen}`);
}
