// Validates an AsyncAPI document by the AsyncAPI initiative's own parser: by the JSON Schema of its version with all bindings,
// every $ref resolved, and the rules between its parts. Usage: node check.mjs asyncapi.yaml
import { readFile } from 'node:fs/promises';
import { Parser } from '@asyncapi/parser';

const [path] = process.argv.slice(2);
const text = await readFile(path, 'utf8');

const WARNING = 1; // 0 is an error; 2 and 3 are hints, such as "there is a later version of AsyncAPI"
async function problems(document) {
  const { diagnostics } = await new Parser().parse(document, { source: path });
  return diagnostics.filter(({ severity }) => severity <= WARNING);
}

// A validator that finds nothing wrong with these would not have validated anything.
const broken = {
  'an unknown action': text.replace('action: receive', 'action: publish'),
  'a schema that is not there': text.replace('claim.requested.json', 'claim.requests.json'),
  'partitions that are no number': text.replace('partitions: 12', 'partitions: twelve'),
  'a message of another channel': text.replace('#/channels/requests/messages/claimRequested', '#/channels/grants/messages/couponGranted'),
};
let failed = false;
for (const [what, document] of Object.entries(broken)) {
  if (document === text || (await problems(document)).length === 0) {
    console.log(`${what} was not found`);
    failed = true;
  }
}
const found = await problems(text);
for (const { path: at, message } of found) console.log(`${at.join('/')}: ${message}`);
console.log(`${path}: ${found.length} problems; ${Object.keys(broken).length} broken copies were looked at too`);
process.exit(failed || found.length > 0 ? 1 : 0);
