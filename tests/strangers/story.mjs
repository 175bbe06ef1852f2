// What the test lets the client do: put and get, watch beside it, and go on while the leader dies. One JSON object a line.
import { Client } from "./client.mjs";

const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");
const [, , address, count] = process.argv;
const [writer, watcher] = [new Client(address), new Client(address)];
const first = await writer.put("node/0", "0");
say({ first, absent: await writer.get("node/nothing"), got: await writer.get("node/0") });
const watching = (async () => {
  const seen = [];
  for await (const change of watcher.watch("node/", "node0", first)) {
    seen.push(change);
    if (seen.length == Number(count)) break;
  }
  return seen;
})();
const revisions = [first];
for (let number = 1; number < Number(count); number++) {
  revisions.push(await writer.put(`node/${number}`, `ä${number}`));
  say({ put: number });
}
say({ revisions, seen: await watching });
writer.close();
watcher.close();
