#!/usr/bin/env node
// A hello-world for Node: the loop of Lambda's runtime, and nothing else.
const http = require("node:http");

const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");

function call(method, path, body) {
  return new Promise((resolve, reject) => {
    const request = http.request({ agent, host, port, method, path: `/2018-06-01/runtime/invocation/${path}` });
    request.on("error", reject);
    request.on("response", (response) => {
      response.on("data", () => {});
      response.on("end", () => resolve(response.headers["lambda-runtime-aws-request-id"]));
    });
    request.end(body);
  });
}

async function run() {
  for (;;) await call("POST", `${await call("GET", "next")}/response`, '{"statusCode":200}');
}

run();
