// Signing in through a real OpenID Connect provider on this machine, with oidc-provider.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { assertAccessible, open, test } from "./browser.js";

const SECRET = "s3cret of the client";

/// A free port.
function freePort() {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/// A provider that accepts any name and password.
async function startProvider(t, redirect) {
  const port = await freePort();
  const issuer = `http://localhost:${port}`;
  const { Provider } = await import("oidc-provider");
  const provider = new Provider(issuer, {
    clients: [{ client_id: "parkbrake", client_secret: SECRET, redirect_uris: [redirect], grant_types: ["authorization_code"], response_types: ["code"] }],
    cookies: { keys: ["a key of this test"] },
  });
  const server = provider.listen(port, "127.0.0.1");
  t.after(() => server.close());
  return issuer;
}

/// A server with its own database that trusts this provider.
async function startServer(t, port, issuer) {
  const home = mkdtempSync(path.join(tmpdir(), "parkbrake-provider-"));
  chmodSync(home, 0o711); // if the tests run as root, PostgreSQL runs as another account
  const config = path.join(home, "config");
  cpSync("config", config, { recursive: true });
  writeFileSync(path.join(config, "notifications.yaml"), `public_url: http://localhost:${port}\n`);
  writeFileSync(path.join(config, "sign-in.yaml"), `openid_connect:
  issuer: ${issuer}
  client_id: parkbrake
  client_secret: { from_env: OIDC_CLIENT_SECRET }
  people: { alice: "alice at the provider" }
`);
  const server = spawn(process.env.PARKBRAKE_PROGRAM, ["dev", "--listen", `127.0.0.1:${port}`, "--config", config], {
    env: { ...process.env, PARKBRAKE_DEV_HOME: home, OIDC_CLIENT_SECRET: SECRET },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  const ended = new Promise((resolve) => server.on("exit", resolve));
  t.after(async () => {
    server.kill("SIGINT");
    await ended;
    rmSync(home, { recursive: true, force: true });
  });
  await new Promise((resolve, reject) => {
    server.stdout.on("data", (text) => (output += text).includes("Ctrl-C") && resolve());
    server.stderr.on("data", (text) => (output += text));
    ended.then(() => reject(new Error(output)));
  });
}

test("only configured people sign in through a provider", async (t) => {
  if (Number(process.versions.node.split(".")[0]) < 20) return t.skip("oidc-provider needs Node 20");
  const port = await freePort();
  const at = `http://localhost:${port}`;
  const issuer = await startProvider(t, `${at}/sign-in/openid/callback`);
  await startServer(t, port, issuer);
  for (const [login, isIn] of [["eve at the provider", false], ["alice at the provider", true]]) {
    const page = await open(t, { at });
    await page.goto(`${at}/inbox/history`);
    await assertAccessible(page, "signing in, with a provider");
    await page.getByRole("link", { name: `Sign in with ${new URL(issuer).host}` }).click();
    await page.getByPlaceholder("Enter any login").fill(login);
    await page.getByPlaceholder("and password").fill("any");
    await page.getByRole("button", { name: "Sign-in" }).click();
    await page.getByRole("button", { name: "Continue" }).click();
    if (isIn) {
      await page.waitForURL(`${at}/inbox/history`);
      assert.match(await page.locator(".me").textContent(), /alice/);
      assert.deepEqual((await page.context().cookies(at)).map(({ name }) => name).filter((name) => name.startsWith("__Host-")), ["__Host-parkbrake"]);
    } else {
      assert.match(await page.getByRole("alert").textContent(), /subject at the provider is eve at the provider/);
    }
    // The provider is another origin, and its pages are not part of this test.
    page.complaints.splice(0);
  }
});
