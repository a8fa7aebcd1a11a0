// Signs in as @xmpp/client does by itself: SASL2 with SCRAM or PLAIN, Bind 2, stream management, then with the token.
// argv: service, user, password. Prints one line of JSON.
import { client, xml } from "@xmpp/client";

const [service, username, password] = process.argv.slice(2);
const told = { elements: [], mechanisms: [] };
let token;

async function session(credentials) {
  const xmpp = client({
    service,
    domain: "localhost",
    credentials: async (authenticate, mechanisms, fast) => {
      const kept = await fast?.fetch();
      told.mechanisms.push({ offered: mechanisms, fast: fast?.mechanism, token: Boolean(kept) });
      await authenticate({ username, ...credentials, token: kept }, mechanisms[0], userAgent);
    },
  });
  const userAgent = xml("user-agent", { id: "d4565fa7-4d72-4749-b3d3-740edbf87770" }, [
    xml("software", {}, "xmpp.js"),
  ]);
  xmpp.fast.saveToken = async (given) => { token = given; };
  xmpp.fast.fetchToken = async () => token;
  xmpp.fast.deleteToken = async () => { token = null; };
  xmpp.on("error", (error) => { told.error = String(error); });
  xmpp.on("nonza", (element) => { told.elements.push([element.name, element.getChildElements().map((e) => e.name)]); });
  const address = await xmpp.start();
  const { iqCaller } = xmpp;
  await iqCaller.request(xml("iq", { type: "get", to: "localhost" }, xml("ping", "urn:xmpp:ping")), 10_000);
  const managed = xmpp.streamManagement?.enabled;
  const clients = await iqCaller.request(xml("iq", { type: "get" }, xml("list", "urn:xmpp:cam:0")), 10_000);
  const auth = clients.getChild("clients").getChildren("client").map((e) => e.getChild("auth").getChildElements().map((m) => m.name));
  await xmpp.stop();
  return { address: address.toString(), managed, auth, token: token?.mechanism };
}

try {
  told.first = await session({ password });
  told.second = await session({ password: "not needed any more" });
} catch (error) {
  told.error = String(error.stack ?? error);
}
console.log(JSON.stringify(told));
process.exit(0);
