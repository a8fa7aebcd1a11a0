// Bob and Carol with converse.js, each in a browser context of a headless Chromium. Commands come as lines of JSON on
// standard input, what happens goes out the same way.
// node converse.mjs NODE_MODULES CHROMIUM WEBSOCKET DOMAIN PASSWORD

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { dirname, extname, join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [modules, executablePath, websocket_url, domain, password] = process.argv.slice(2);
const resolve = createRequire(`${modules}/x.js`).resolve;
const { chromium } = (await import(pathToFileURL(resolve("playwright-core")))).default;
const dist = join(modules, "node_modules", "converse.js", "dist");
const tell = (event) => process.stdout.write(JSON.stringify(event) + "\n");

const settings = {
  websocket_url,
  discover_connection_methods: false,
  view_mode: "fullscreen",
  assets_path: "/dist/",
  whitelisted_plugins: ["inside"],
  i18n: "en",
  auto_subscribe: true,
  loglevel: "error",
};
const page = `<!DOCTYPE html><html><head><meta charset="utf-8">
<link rel="stylesheet" href="/dist/converse.min.css"></head><body class="converse-fullscreen"></body>
<script type="module" src="/dist/converse.min.js"></script>
<script type="module">
converse.plugins.add("inside", { initialize() { window.inside = this._converse; } });
converse.initialize(${JSON.stringify(settings)});
</script></html>`;
const types = { ".js": "text/javascript", ".css": "text/css", ".json": "application/json", ".wasm": "application/wasm" };
const files = createServer(async ({ url }, answer) => {
  const { pathname } = new URL(url, "http://x");
  try {
    const content = pathname === "/" ? page : await readFile(join(dist, pathname.replace(/^\/dist\//, "/")));
    answer.setHeader("Content-Type", pathname === "/" ? "text/html" : (types[extname(pathname)] ?? "image/svg+xml"));
    answer.end(content);
  } catch {
    answer.writeHead(404).end();
  }
});
await new Promise((listening) => files.listen(0, "127.0.0.1", listening));

const browser = await chromium.launch({
  executablePath,
  headless: true,
  args: [
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
  ],
});
const people = {};

async function show(who, jid, room) {
  const there = people[who];
  await there.evaluate(([jid, room]) => inside.api[room ? "rooms" : "chats"].open(jid, {}, true), [jid, room ?? false]);
  const box = there.locator(room ? "converse-muc" : "converse-chat").and(there.locator(`[jid="${jid}"]`));
  await box.locator("textarea.chat-textarea").waitFor();
  return box;
}

const commands = {
  async login({ who }) {
    const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1200, height: 900 } });
    const there = (people[who] = await context.newPage());
    await there.goto(`http://localhost:${files.address().port}/`);
    await there.fill("input[name=jid]", `${who}@${domain}`);
    await there.fill("input[name=password]", password);
    await there.keyboard.press("Enter");
    await there.waitForFunction(() => window.inside?.api.connection.authenticated());
    await there.evaluate(() => inside.api.waitUntil("OMEMOInitialized"));
  },
  add: ({ who, to }) => people[who].evaluate((jid) => inside.api.contacts.add({ jid }), to),
  // Sees the other online: the subscription is there, both ways.
  meets: ({ who, to }) =>
    people[who].waitForFunction((jid) => {
      const contact = inside.roster.get(jid);
      return contact?.get("subscription") === "both" && contact.presence.get("presence") === "online";
    }, to),
  async say({ who, to, body, room }) {
    const box = await show(who, to, room);
    await box.locator("textarea.chat-textarea").fill(body);
    await people[who].keyboard.press("Enter");
  },
  async sees({ who, from, body, room }) {
    const box = await show(who, from, room);
    await box.locator(".chat-msg__text", { hasText: body }).last().waitFor();
  },
  async join({ who, to, nick }) {
    await people[who].evaluate(([jid, nick]) => inside.api.rooms.open(jid, { nick }, true), [to, nick]);
    await people[who].waitForFunction((jid) => inside.chatboxes.get(jid)?.session?.get("connection_status") === 5, to);
  },
  async upload({ who, to, path }) {
    const box = await show(who, to);
    await box.locator("input.fileupload").setInputFiles(path);
  },
  async encrypt({ who, to }) {
    const box = await show(who, to);
    await box.locator(".toggle-omemo:not([data-disabled=true])").click();
    await people[who].waitForFunction((jid) => inside.chatboxes.get(jid).get("omemo_active"), to);
  },
  encrypted: ({ who, from, body }) =>
    people[who].waitForFunction(
      ([jid, body]) =>
        inside.chatboxes
          .get(jid)
          .messages.models.some((m) => m.get("is_encrypted") && [m.get("plaintext"), m.get("message")].includes(body)),
      [from, body],
    ),
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  try {
    await commands[command.do](command);
    tell({ event: "done", what: command.do });
  } catch (error) {
    tell({ event: "failed", text: `${command.do}: ${String(error.message).split("\n")[0]}` });
  }
}
await browser.close();
process.exit(0);
