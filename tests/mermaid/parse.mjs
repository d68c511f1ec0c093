// Parses the files given with Mermaid's own parser; prints the kind of each diagram.
import { readFileSync } from "node:fs";
import { JSDOM } from "jsdom";

const dom = new JSDOM("<!doctype html><body></body>");
globalThis.window = dom.window;
globalThis.document = dom.window.document;
const { default: mermaid } = await import("mermaid");

let failed = 0;
for (const path of process.argv.slice(2)) {
  try {
    const found = await mermaid.parse(readFileSync(path, "utf8"));
    console.log(`${path}: ${found.diagramType}`);
  } catch (error) {
    failed += 1;
    console.log(`${path}: ${error.message ?? error}`);
  }
}
process.exit(failed === 0 ? 0 : 1);
