// Tests the pages in a real browser, at the size of a phone and of a desktop: how an email looks, what its
// button does, and the whole life of an account in the console. axe must find no violation on any page.
//
//   node pages.js            with GATEHOUSE_STACK set; writes pictures to the folder in PICTURES. MAILS is a
//                            folder of `gatehouse mails`, which is checked too.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const tools = fileURLToPath(new URL("../../.tools/browser", import.meta.url));
mkdirSync(tools, { recursive: true });
// Chromium is an npm package made for Lambda: in this mode it also unpacks its libraries and fonts,
// into TMPDIR. The remains of an interrupted run are deleted.
process.env.TMPDIR = tools;
process.env.AWS_EXECUTION_ENV = "AWS_Lambda_nodejs20.x";
const require = createRequire(import.meta.url);
const unpacked = `${tools}/unpacked.txt`;
const lock = readFileSync(new URL("package-lock.json", import.meta.url), "utf8");
if (!existsSync(unpacked) || readFileSync(unpacked, "utf8") !== lock) {
  rmSync(tools, { recursive: true, force: true });
  mkdirSync(tools, { recursive: true });
}
// The package's own fonts.conf names /tmp/fonts. Chromium crashes without fonts, so this one names the unpacked
// fonts; it uses no font of the machine.
const fonts = `${tools}/fonts.conf`;
writeFileSync(
  fonts,
  `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>${tools}/fonts</dir><cachedir>${tools}/font-cache</cachedir></fontconfig>
`,
);
const { default: chromium } = await import("@sparticuz/chromium");
const { chromium: launcher } = await import("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const stack = JSON.parse(process.env.GATEHOUSE_STACK);
const pictures = process.env.PICTURES ?? `${tools}/pictures`;
mkdirSync(pictures, { recursive: true });
const SIZES = { phone: { width: 390, height: 844 }, desktop: { width: 1280, height: 800 } };
const PASSWORD = "correct-horse-battery-staple";

const executablePath = await chromium.executablePath();
writeFileSync(unpacked, lock);
const browser = await launcher.launch({
  executablePath,
  env: { ...process.env, FONTCONFIG_FILE: fonts, HOME: tools },
  args: ["--no-sandbox", "--no-zygote", "--disable-gpu", "--disable-background-networking"],
});

// A page that violates its own policy, or throws, fails the test.
async function open(size, url, options = {}) {
  const context = await browser.newContext({ viewport: SIZES[size], ...options });
  const page = await context.newPage();
  page.on("pageerror", (error) => assert.fail(`${url}: ${error}`));
  page.on("console", (message) => {
    const isPolicy = message.text().includes("Content Security Policy");
    if (isPolicy) assert.fail(`${url}: ${message.text()}`);
  });
  await page.goto(url);
  return page;
}

// axe injects a script into the page, which the page's policy forbids. So it checks a copy of the same HTML
// without that policy.
async function isAccessible(page, name, options = {}) {
  const context = await browser.newContext({ viewport: page.viewportSize(), bypassCSP: true, javaScriptEnabled: true });
  const copy = await context.newPage();
  const html = (await page.content()).replace(/<script\b[^>]*><\/script>/g, "");
  await copy.route("**/*", (route) =>
    route.request().isNavigationRequest() ? route.fulfill({ body: html, contentType: "text/html" }) : route.continue(),
  );
  await copy.goto(page.url());
  await copy.evaluate(axe);
  const { violations } = await copy.evaluate((options) => globalThis.axe.run(options), options);
  assert.deepEqual(violations.map((one) => [one.id, one.nodes[0].html]), [], name);
  await context.close();
}

async function picture(page, name, size) {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wide <= 0, `${name} is wider than a ${size} by ${wide}`);
  const options = { path: `${pictures}/${name}-${size}.png`, fullPage: true };
  // On a busy machine Chromium sometimes fails to take a picture. Pictures are for people; no check depends on them.
  await page.screenshot(options).catch(() => page.screenshot(options)).catch(() => page.screenshot(options));
}

async function post(path, body) {
  const headers = { "content-type": "application/json" };
  return fetch(stack.api + path, { method: "POST", headers, body: JSON.stringify(body) });
}

async function mailTo(email) {
  const mails = await (await fetch(`${stack.cognito}/outbox.json`)).json();
  const at = mails.findLastIndex((mail) => mail.to === email);
  assert.ok(at >= 0, `a mail to ${email}`);
  return `${stack.cognito}/outbox/${at}`;
}

const newAddress = () => `a+b&c%d-${randomBytes(4).toString("hex")}@example.com`;

async function confirmByEmail(size) {
  const email = newAddress();
  assert.equal((await post("/auth/signup", { email, password: PASSWORD })).status, 202);
  const page = await open(size, await mailTo(email));
  await picture(page, "mail", size);
  // A mail client's page around the email has the landmarks.
  await isAccessible(page, "mail", { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"] });
  const link = await page.locator('a[href*="/auth/confirm"]').first().getAttribute("href");
  await page.goto(link);
  assert.equal(await page.locator(".address").textContent(), email);
  await picture(page, "confirm", size);
  await isAccessible(page, "confirm");
  assert.equal((await post("/auth/login", { email, password: PASSWORD })).status, 401, "opening confirms nothing");
  await page.getByLabel("Your password").fill(PASSWORD);
  await page.getByRole("button", { name: "Confirm" }).click();
  assert.match(await page.locator("h1").textContent(), /is confirmed/);
  await picture(page, "confirmed", size);
  await isAccessible(page, "confirmed");
  assert.equal((await post("/auth/login", { email, password: PASSWORD })).status, 200);
  await page.goto(link);
  await page.getByLabel("Your password").fill(PASSWORD);
  await page.getByRole("button", { name: "Confirm" }).click();
  assert.match(await page.locator("main").textContent(), /already been used[^]*more than 24 hours old[^]*latest email/);
  await picture(page, "refused", size);
  await isAccessible(page, "refused");
  await page.getByRole("button", { name: "Send a new code" }).click();
  assert.match(await page.locator("h1").textContent(), /Check your inbox/);
  await isAccessible(page, "sent");
  await page.context().close();

  // The page needs no script, and is in the reader's language.
  const arabic = await open(size, link, { javaScriptEnabled: false, locale: "ar" });
  assert.equal(await arabic.locator("html").getAttribute("dir"), "rtl");
  await arabic.context().close();
}

async function useTheConsole(size) {
  const email = newAddress();
  const page = await open(size, `${stack.cognito}/console/`);
  await isAccessible(page, "console, signed out");
  await page.getByLabel("E-mail address").fill(email);
  await page.getByLabel("Password", { exact: true }).fill(PASSWORD);
  await page.getByRole("button", { name: "Sign up" }).click();
  await page.locator("#confirm input").fill("123456");
  await page.getByRole("button", { name: "Confirm" }).click();
  await page.getByText("Your address is confirmed").waitFor();
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("You are signed in").waitFor();
  await page.locator("#sessions li").waitFor();
  await page.getByRole("button", { name: "GET /whoami" }).click();
  await page.getByText("200: signed in as").waitFor();
  assert.match(await page.locator("#claims").textContent(), /"token_use": "access"/);
  await picture(page, "console", size);
  await isAccessible(page, "console, signed in");
  // As more than five minutes after the sign-in: the API asks for a proof first, and gets it.
  const proofs = [];
  await page.route("**/auth/mfa/totp", (route) => {
    proofs.push(route.request().postDataJSON());
    const headers = { "access-control-allow-origin": "*", "content-type": "application/problem+json" };
    const refused = { status: 403, headers, body: '{"code": "proof_needed"}' };
    return proofs.length === 1 ? route.fulfill(refused) : route.continue();
  });
  await page.getByRole("button", { name: "Set up an authenticator" }).click();
  await page.locator("#proof-form input[name=password]").fill(PASSWORD);
  await isAccessible(page, "console, proof");
  await page.locator("#proof-form button").click();
  await page.locator("#totp-picture").waitFor();
  assert.deepEqual(proofs, [{}, { current_password: PASSWORD }]);
  assert.equal(await page.locator("#proof-form").count(), 0);
  assert.ok(await page.locator("#totp-picture").evaluate((image) => image.decode().then(() => image.naturalWidth > 100)));
  await picture(page, "authenticator", size);
  await isAccessible(page, "console, authenticator");
  await page.getByRole("button", { name: "End all", exact: true }).click();
  await page.getByText("Signed out. Your token has not expired yet").waitFor();
  await page.getByRole("button", { name: "GET /whoami" }).click();
  await page.getByText("401: refused").waitFor();
  await picture(page, "ended", size);
  await page.context().close();
}

// Every email in every language fits the screen and has no violation.
async function everyMail(size) {
  const folder = process.env.MAILS;
  const names = folder ? readdirSync(folder).filter((name) => name !== "index.html") : [];
  const context = await browser.newContext({ viewport: SIZES[size] });
  const page = await context.newPage();
  for (const name of names) {
    await page.goto(`file://${folder}/${name}`);
    await picture(page, name.replace(".html", ""), size);
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => globalThis.axe.run({ runOnly: ["wcag2a", "wcag2aa"] }));
    assert.deepEqual(violations.map((one) => [one.id, one.nodes[0].html]), [], name);
  }
  await context.close();
  return names.length;
}

try {
  for (const size of Object.keys(SIZES)) {
    await confirmByEmail(size);
    await useTheConsole(size);
    const mails = await everyMail(size);
    if (process.env.MAILS) assert.equal(mails, 35, "seven occasions in five languages");
  }
  console.log("All pages passed.");
} finally {
  await browser.close();
}
