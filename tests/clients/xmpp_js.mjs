// Bob with @xmpp/client. Commands come as lines of JSON on standard input, what happens goes out the same way.
// node xmpp_js.mjs NODE_MODULES SERVICE DOMAIN PASSWORD [ACCOUNT]

import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [modules, service, domain, password, username = "bob"] = process.argv.slice(2);
const resolve = createRequire(`${modules}/x.js`).resolve;
const { client, xml } = await import(pathToFileURL(resolve("@xmpp/client")));

const tell = (event) => process.stdout.write(JSON.stringify(event) + "\n");
const xmpp = client({ service, domain, resource: "js", username, password });

xmpp.on("error", (error) => tell({ event: "error", text: String(error.condition ?? error.message) }));
xmpp.on("stanza", (stanza) => {
  const { from, type } = stanza.attrs;
  const body = stanza.getChildText("body");
  if (stanza.is("message") && body) tell({ event: "message", from, body });
  if (stanza.is("presence")) tell({ event: "presence", from, type: type ?? "available" });
  if (stanza.is("presence") && type === "subscribe") {
    xmpp.send(xml("presence", { to: from, type: "subscribed" }));
  }
});
xmpp.on("online", async (address) => {
  await xmpp.send(xml("presence"));
  tell({ event: "online", address: address.toString(), resumes: xmpp.streamManagement.enabled });
});

xmpp.on("disconnect", () => tell({ event: "disconnect" }));
xmpp.streamManagement.on("resumed", () => tell({ event: "resumed" }));

const SPACE = "urn:xmpp:http:upload:0";
const commands = {
  subscribe: ({ to }) => xmpp.send(xml("presence", { to, type: "subscribe" })),
  say: ({ to, body, type }) => xmpp.send(xml("message", { to, type }, xml("body", {}, body))),
  join: ({ room, nick }) =>
    xmpp.send(xml("presence", { to: `${room}/${nick}` }, xml("x", { xmlns: "http://jabber.org/protocol/muc" }))),
  async upload({ content }) {
    const size = Buffer.byteLength(content);
    const request = xml("request", { xmlns: SPACE, filename: "note.txt", size, "content-type": "text/plain" });
    const answer = await xmpp.iqCaller.request(xml("iq", { type: "get", to: `upload.${domain}` }, request));
    const slot = answer.getChild("slot", SPACE);
    const sent = await fetch(slot.getChild("put").attrs.url, {
      method: "PUT",
      body: content,
      headers: { "Content-Type": "text/plain" },
    });
    if (sent.status !== 201) throw new Error(`upload: ${sent.status}`);
    const url = slot.getChild("get").attrs.url;
    const got = await (await fetch(url)).text();
    if (got !== content) throw new Error("what is downloaded is not what was uploaded");
    tell({ event: "uploaded", url });
  },
  // The connection breaks, as on a train; reconnect and stream management are the library's.
  break: () => (xmpp.socket.socket?.close ? xmpp.socket.socket.close() : xmpp.socket.destroy()),
  stop: () => xmpp.stop().then(() => process.exit(0)),
};

createInterface({ input: process.stdin }).on("line", async (line) => {
  const command = JSON.parse(line);
  try {
    await commands[command.do](command);
  } catch (error) {
    tell({ event: "failed", text: String(error.condition ?? error.message) });
  }
});

xmpp.start().catch((error) => tell({ event: "failed", text: String(error.condition ?? error.message) }));
