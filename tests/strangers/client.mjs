// A client of the wire protocol with JSON bodies, written from docs/protocol.md alone. Node 18 or newer, nothing to install.
import { randomUUID } from "node:crypto";
import net from "node:net";
const [HELLO, ASKS, ANSWERS, REFUSAL] = [1, 3, 4, 5];
const TRIED_AGAIN = new Set([11, 12, 16]); // not ready, overloaded, no space
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? (byte >>> 1) ^ 0xedb88320 : byte >>> 1;
  return byte;
});
const crc32 = (bytes) => ~bytes.reduce((crc, byte) => TABLE[(crc ^ byte) & 255] ^ (crc >>> 8), ~0) >>> 0;
const base64 = (text) => Buffer.from(text).toString("base64");
const text = (encoded) => Buffer.from(encoded, "base64").toString();
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
function frame(kind, value) {
  const body = Buffer.from(JSON.stringify(value));
  const head = Buffer.from([0xc5, 1, kind, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  head.writeUInt32BE(body.length, 4);
  head.writeUInt32BE(crc32(body), 8);
  head.writeUInt32BE(crc32(head.subarray(0, 12)), 12);
  return Buffer.concat([head, body]);
}
class Connection {
  constructor(address) {
    const [, host, port] = /^\[?(.*?)\]?:(\d+)$/.exec(address);
    this.waiting = new Map(); // request -> what to do with its answers
    this.rest = Buffer.alloc(0);
    this.ready = new Promise((resolve, reject) => ([this.greeted, this.failed] = [resolve, reject]));
    this.ready.catch(() => {});
    this.socket = net.connect({ host, port, noDelay: true }, () => this.socket.write(frame(HELLO, [0, 0, 0, 0, "node", "1", []])));
    this.socket.on("data", (data) => this.receive(data)).on("error", (error) => (this.error = error));
    this.socket.on("close", () => this.end(this.error ?? new Error("the member closed the connection")));
  }
  receive(data) {
    this.rest = Buffer.concat([this.rest, data]);
    while (this.rest.length >= 16 && this.rest.length >= 16 + this.rest.readUInt32BE(4)) {
      const [kind, body] = [this.rest[2], this.rest.subarray(16, 16 + this.rest.readUInt32BE(4))];
      if (crc32(this.rest.subarray(0, 12)) !== this.rest.readUInt32BE(12) || crc32(body) !== this.rest.readUInt32BE(8)) throw new Error("damaged");
      this.rest = this.rest.subarray(16 + body.length);
      const value = JSON.parse(body);
      if (kind === HELLO) this.greeted({ member: value[1], contacts: value[6] });
      else if (kind === REFUSAL) this.error = new Error(`refused: ${value[1]}`);
      else if (kind === ANSWERS) for (const answer of value) this.waiting.get(answer[1])?.(answer);
    }
  }
  end(error) {
    this.failed(error);
    for (const tell of [...this.waiting.values()]) tell(null);
  }
}
export class Client {
  constructor(...addresses) {
    Object.assign(this, { addresses, at: 0, last: 0, contacts: new Map(), connection: null });
  }
  async connected() {
    if (!this.connection || this.connection.socket.destroyed) this.connection = new Connection(this.addresses[this.at]);
    const hello = await this.connection.ready;
    this.contacts = new Map([...hello.contacts, [hello.member, this.addresses[this.at]]]);
    for (const address of this.contacts.values()) if (!this.addresses.includes(address)) this.addresses.push(address);
    return this.connection;
  }
  async leave(leader) { // to the leader that was named, else to the next member after a pause
    this.connection?.socket.destroy();
    const known = this.addresses.indexOf(this.contacts.get(leader));
    this.at = known >= 0 ? known : (this.at + 1) % this.addresses.length;
    if (known < 0) await pause(30);
  }
  async ask(tag, ...fields) { // safe to repeat: reads, and commands with a request id
    for (let until = Date.now() + 30_000; Date.now() < until; ) {
      const request = ++this.last;
      const connection = await this.connected().catch(() => null);
      const answer = connection && (await new Promise((resolve) => {
        connection.waiting.set(request, resolve);
        if (connection.socket.destroyed) resolve(null);
        else connection.socket.write(frame(ASKS, [[[tag, request, ...fields]], until - Date.now()]));
      }).finally(() => connection.waiting.delete(request)));
      if (answer?.[0] === 1) return answer[4]; else if (answer?.[0] === 2 && TRIED_AGAIN.has(answer[2])) await pause(answer[5] || 30);
      else if (answer?.[0] === 2 && answer[2] !== 10 && answer[4]) throw new Error(`${answer[2]}: ${answer[3]}`);
      else await this.leave(answer?.[6]);
    }
    throw new Error("no answer within 30 s");
  }
  put = async (key, value) => (await this.ask(1, [0, 0, 0, randomUUID(), [1, base64(key), base64(value), false]]))[1];
  get = async (key) => ((item) => item && text(item[1]))((await this.ask(2, [4, base64(key)]))[2]);
  async *watch(start, end, from) { // changes in order, each once, over any number of connections
    for (let [next, until] = [from, Date.now() + 30_000]; Date.now() < until; ) {
      let [request, queue, wake] = [++this.last, [], () => {}];
      const connection = await this.connected().catch(() => null);
      connection?.waiting.set(request, (answer) => (queue.push(answer), wake()));
      connection?.socket.write(frame(ASKS, [[[4, request, base64(start), base64(end), next]], 0]));
      for (let answer; connection; ) {
        if (!queue.length) await (connection.socket.destroyed ? null : new Promise((resolve) => (wake = resolve)));
        if ((answer = queue.shift())?.[0] !== 4) { if (answer?.[0] === 5) throw new Error(`gap up to ${answer[2]}`); await this.leave(answer?.[6]); break; }
        for (const [revision, events] of answer[2]) for (const [kind, key, value] of events) yield { revision, kind, key: text(key), value: text(value) };
        [next, until] = [answer[3] + 1, Date.now() + 30_000];
      }
      if (!connection) await this.leave();
    }
  }
  close = () => this.connection?.socket.destroy();
}
