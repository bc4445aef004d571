// A minimal Lambda authorizer for Node, with the loop of Lambda's runtime: verifies the token with
// aws-jwt-verify, reads the revocations of token, session and user from DynamoDB once, and returns
// a policy. It has no Cedar policies, no limits and no log.
import http from "node:http";
import { BatchGetItemCommand, DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { CognitoJwtVerifier } from "aws-jwt-verify";

const { USER_POOL_ID, APP_CLIENT_IDS, REVOCATION_TABLE, JWKS, AWS_LAMBDA_RUNTIME_API } = process.env;
const verifier = CognitoJwtVerifier.create({ userPoolId: USER_POOL_ID, clientId: APP_CLIENT_IDS, tokenUse: "access" });
verifier.cacheJwks(JSON.parse(JWKS));
const store = new DynamoDBClient({});

async function handle(event) {
  const [, token] = event.headers.Authorization.split(" ");
  const claims = verifier.verifySync(token);
  const user = `${USER_POOL_ID}#user#${claims.sub}`;
  const keys = [
    { pk: { S: user }, sk: { S: "user" } },
    { pk: { S: user }, sk: { S: `session#${claims.origin_jti}` } },
    { pk: { S: user }, sk: { S: `token#${claims.jti}` } },
  ];
  const revocations = await store.send(
    new BatchGetItemCommand({ RequestItems: { [REVOCATION_TABLE]: { Keys: keys, ConsistentRead: true } } }),
  );
  if (revocations.Responses?.[REVOCATION_TABLE]?.length) throw new Error("Unauthorized");
  return {
    principalId: claims.sub,
    policyDocument: {
      Version: "2012-10-17",
      Statement: [{ Action: "execute-api:Invoke", Effect: "Allow", Resource: [event.methodArn] }],
    },
    context: { sub: claims.sub, username: claims.username, client_id: claims.client_id, scope: claims.scope },
  };
}

const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const [host, port] = AWS_LAMBDA_RUNTIME_API.split(":");

function call(method, path, body) {
  return new Promise((resolve, reject) => {
    const request = http.request({ agent, host, port, method, path: `/2018-06-01/runtime/invocation/${path}` });
    request.on("error", reject);
    request.on("response", (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part));
      response.on("end", () => resolve([response.headers["lambda-runtime-aws-request-id"], Buffer.concat(parts)]));
    });
    request.end(body);
  });
}

async function run() {
  for (;;) {
    const [id, event] = await call("GET", "next");
    try {
      await call("POST", `${id}/response`, JSON.stringify(await handle(JSON.parse(event))));
    } catch (error) {
      await call("POST", `${id}/error`, JSON.stringify({ errorType: error.name, errorMessage: error.message }));
    }
  }
}

run();
