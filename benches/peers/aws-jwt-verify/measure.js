// Prints the nanoseconds of processor time of one verifySync, for each round. Standard input: the material of benches/src/bin/hot_path.rs.
import { readFileSync } from "node:fs";
import { CognitoJwtVerifier } from "aws-jwt-verify";

const { token, jwks, pool_id: userPoolId, client_id: clientId } = JSON.parse(readFileSync(0, "utf8"));
const verifier = CognitoJwtVerifier.create({ userPoolId, clientId, tokenUse: "access" });
verifier.cacheJwks(jwks);

const [rounds, calls] = process.env.GATEHOUSE_QUICK ? [5, 500] : [25, 2000];
const took = [];
for (let round = 0; round < rounds; round++) {
  const began = process.cpuUsage();
  for (let n = 0; n < calls; n++) verifier.verifySync(token);
  const { user, system } = process.cpuUsage(began);
  took.push(((user + system) * 1000) / calls);
}
console.log(JSON.stringify({ "aws-jwt-verify, verifySync": took }));
