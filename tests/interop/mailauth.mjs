// mailauth signs and we verify; we sign and mailauth verifies. Usage: mailauth.mjs PROGRAM (crates/sim/examples/dkim.rs)
import { createRequire } from "node:module";
import { generateKeyPairSync, randomInt } from "node:crypto";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import assert from "node:assert";

const require = createRequire(process.env.NODE_MODULES_AT + "node_modules/");
const { dkimSign } = require("mailauth/lib/dkim/sign");
const { dkimVerify } = require("mailauth/lib/dkim/verify");

const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const ed = generateKeyPairSync("ed25519");
const pem = (pair) => pair.privateKey.export({ type: "pkcs8", format: "pem" });
const der = (pair) => pair.publicKey.export({ type: "spki", format: "der" });
const records = {
  "r._domainkey.signer.test": "v=DKIM1; k=rsa; p=" + der(rsa).toString("base64"),
  "e._domainkey.signer.test": "v=DKIM1; k=ed25519; p=" + der(ed).subarray(-32).toString("base64"),
};

const program = spawn(process.argv[2], { stdio: ["pipe", "pipe", "inherit"] });
const answers = createInterface({ input: program.stdout })[Symbol.asyncIterator]();
async function ask(question) {
  program.stdin.write(JSON.stringify(question) + "\n");
  return JSON.parse((await answers.next()).value);
}

const pick = (all) => all[randomInt(all.length)];
const words = () => Array.from({ length: randomInt(12) }, () => pick(["a", "b ", "\t", "  ", "=", ";", "\u00e9", "x:y", "."])).join("");
function message() {
  const head = ["From: Fred <fred@signer.test>", "To: b@else.test", "Date: Thu, 1 Jan 2026 00:00:00 +0000", "Subject: " + words() + "x"];
  for (let n = randomInt(4); n > 0; n--) head.push(pick(["X-Odd", "Reply-To", "Cc", "Subject"]) + pick([":", ": ", " : "]) + words() + pick(["x", "x\r\n y", "x\r\n\ty  z"]));
  const body = Array.from({ length: randomInt(10) }, () => words() + pick(["\r\n", "\r\n\r\n", " \r\n"])).join("");
  return Buffer.from(head.join("\r\n") + "\r\n\r\n" + body);
}

const b64 = (octets) => Buffer.from(octets).toString("base64");
for (let n = 0; n < 60; n++) {
  const plain = message();
  const canonicalization = pick(["relaxed/relaxed", "simple/simple", "relaxed/simple", "simple/relaxed"]);
  const signed = await dkimSign(plain, {
    canonicalization,
    signTime: new Date(0),
    signatureData: [
      { signingDomain: "signer.test", selector: "r", privateKey: pem(rsa), algorithm: "rsa-sha256" },
      { signingDomain: "signer.test", selector: "e", privateKey: pem(ed), algorithm: "ed25519-sha256" },
    ],
  });
  assert.deepEqual(signed.errors, []);
  const whole = Buffer.concat([Buffer.from(signed.signatures), plain]);
  assert.deepEqual((await ask({ verify: b64(whole), keys: records })).results, ["pass", "pass"], canonicalization + "\n" + whole);
  const damaged = Buffer.concat([whole, Buffer.from("more\r\n")]);
  for (const result of (await ask({ verify: b64(damaged), keys: records })).results) assert.match(result, /^fail/);

  const ours = await ask({ sign: b64(plain) });
  const resolver = async (name) => {
    if (ours.keys[name]) return [[ours.keys[name]]];
    throw Object.assign(new Error("ENOTFOUND"), { code: "ENOTFOUND" });
  };
  const judged = async (octets) => (await dkimVerify(octets, { resolver })).results.map((one) => one.status.result);
  const octets = Buffer.from(ours.message, "base64");
  assert.deepEqual(await judged(octets), ["pass", "pass"], octets.toString());
  assert.ok(!(await judged(Buffer.concat([octets, Buffer.from("more\r\n")]))).includes("pass"));
}
program.stdin.end();
console.log("60 messages, both ways");
