// Verifies a webhook (stdin: JSON with secret, headers, body) with the library `standardwebhooks`, and prints the type of the event.
// Exits with 1 and the reason where the signature does not hold.
const path = require("node:path");
const { Webhook } = require(path.join(process.argv[2], "node_modules", "standardwebhooks"));

const sent = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
try {
    console.log(new Webhook(sent.secret).verify(sent.body, sent.headers).type);
} catch (error) {
    console.error(`${error.message}`);
    process.exit(1);
}
