// A receiver to try hookfuse with: node examples/receiver.cjs SECRET_FILE [PORT [STATUS]]
const { readFileSync } = require("node:fs");
const { createServer } = require("node:http");

// --- verifying ---
const { createHmac, timingSafeEqual } = require("node:crypto");

const TOLERANCE_S = 300;

function isEqual(one, other) {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}

function verifySentry(secret, headers, body) {
  const expected = createHmac("sha256", secret).update(body).digest("hex");
  return isEqual(expected, headers["sentry-hook-signature"] ?? "");
}

function verifyStandard(secret, headers, body) {
  const id = headers["webhook-id"] ?? "";
  const timestamp = headers["webhook-timestamp"] ?? "";
  if (!/^\d{1,12}$/.test(timestamp) || Math.abs(Date.now() / 1000 - Number(timestamp)) > TOLERANCE_S) return false;
  const expected = "v1," + createHmac("sha256", secret).update(`${id}.${timestamp}.`).update(body).digest("base64");
  return (headers["webhook-signature"] ?? "").split(" ").some((one) => isEqual(expected, one));
}

// --- end ---

const [secretFile, port = "8080", status = "200"] = process.argv.slice(2);
const secret = readFileSync(secretFile, "utf8");

const server = createServer((request, response) => {
  const pieces = [];
  request.on("data", (piece) => pieces.push(piece));
  request.on("end", () => {
    const body = Buffer.concat(pieces); // the raw bytes: what was signed
    const holds = verifySentry(secret, request.headers, body) && verifyStandard(secret, request.headers, body);
    response.writeHead(holds ? Number(status) : 401).end("ok");
    console.log(`delivery ${request.headers["webhook-id"]}: ${holds ? `both signatures hold, answered ${status}` : "refused"}`);
  });
});
server.listen(Number(port), "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${server.address().port}/, answering ${status}`));
