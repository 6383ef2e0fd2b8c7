// Drives a server with `crossbar`, the SDK for KAZOO on the npm registry. Prints a line for each thing done.
// Arguments: folder of the package, port, account id, realm, MD5 of `user:password`.

const { promisify } = require("util");
const [folder, port, account_id, realm, credentials] = process.argv.slice(2);
const Crossbar = require(folder);
const crossbar = new Crossbar({ url: "http://127.0.0.1", port, version: "v2" });

async function ask(noun, action, ids, data) {
  const done = promisify(crossbar.api[noun][action])({ url_params: { account_id, ...ids }, data });
  const answer = await done.catch((error) => {
    throw new Error(`${noun}.${action}: ${JSON.stringify(error)}`);
  });
  return typeof answer === "string" ? JSON.parse(answer) : answer;
}

async function documents(noun, id_name, fresh, changed) {
  const one = noun.slice(0, -1);
  const made = (await ask(noun, `create_${one}`, {}, fresh)).data;
  const ids = { [id_name]: made.id };
  const read = (await ask(noun, `get_${one}`, ids)).data;
  const listed = (await ask(noun, `get_${noun}`, {})).data;
  const updated = (await ask(noun, `update_${one}`, ids, { ...read, ...changed })).data;
  const key = Object.keys(changed)[0];
  if (updated[key] !== changed[key] || !listed.some((item) => item.id === made.id)) throw new Error(noun);
  const gone = (await ask(noun, `delete_${one}`, ids)).data;
  if (!gone._read_only.deleted) throw new Error(noun);
  console.log(`${noun}: create, get, list, update, delete`);
}

async function main() {
  const login = await ask("user_auth", "create_user_auth", {}, { credentials, account_realm: realm });
  crossbar.set_auth_token(login.auth_token);
  console.log("user_auth: login");
  await documents("users", "user_id", { first_name: "Jim", last_name: "Doe" }, { last_name: "Roe" });
  await documents("devices", "device_id", { name: "Desk" }, { name: "Hall" });
  const account = (await ask("accounts", "get_account", {})).data;
  await ask("accounts", "update_account", {}, { ...account, name: `${account.name} & Sons` });
  const child = (await ask("accounts", "create_account", {}, { name: `Child of ${realm}` })).data;
  for (const [list, count] of [["children", 1], ["descendants", 1], ["siblings", 0], ["channels", 0]]) {
    const found = (await ask("accounts", `get_${list}`, {})).data;
    if (found.length !== count) throw new Error(`${list}: ${found.length}`);
  }
  await ask("accounts", "get_ancestors", {});
  await ask("accounts", "delete_account", { account_id: child.id });
  console.log("accounts: get, update, create, children, descendants, siblings, ancestors, channels, delete");
  const phone = (await ask("devices", "create_device", {}, { name: "Phone", owner_id: login.data.owner_id })).data;
  const call = (await ask("users", "get_quickcall", { user_id: login.data.owner_id, device_id: "1001" })).data;
  if (call.application_name !== "transfer" || call.endpoints[0].endpoint_id !== phone.id) throw new Error("quickcall");
  console.log("users: quickcall");
  const error = await ask("users", "create_user", {}, { first_name: "x" }).then(() => "", (wrong) => wrong.message);
  if (!error.includes("last_name")) throw new Error(error);
  console.log("error: the field that is missing");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
