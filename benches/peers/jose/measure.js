// Prints the nanoseconds of processor time of one jwtVerify of jose, for each round. Standard input: the material of
// benches/src/bin/hot_path.rs. Keys are imported once. jose verifies asynchronously, by WebCrypto, in a thread of its own.
import { readFileSync } from "node:fs";
import { createLocalJWKSet, jwtVerify } from "jose";

const { token, jwks, pool_id, client_id } = JSON.parse(readFileSync(0, "utf8"));
const issuer = `https://cognito-idp.us-east-1.amazonaws.com/${pool_id}`;
const keys = createLocalJWKSet(jwks);

async function verify() {
  const { payload } = await jwtVerify(token, keys, { issuer, algorithms: ["RS256"] });
  // Cognito's access tokens have no `aud`, so jose does not check the client.
  if (payload.token_use !== "access" || payload.client_id !== client_id) throw new Error("refused");
}

const [rounds, calls] = process.env.GATEHOUSE_QUICK ? [5, 500] : [25, 2000];
const took = [];
for (let round = 0; round < rounds; round++) {
  const began = process.cpuUsage();
  for (let n = 0; n < calls; n++) await verify();
  const { user, system } = process.cpuUsage(began);
  took.push(((user + system) * 1000) / calls);
}
console.log(JSON.stringify({ "jose, jwtVerify": took }));
