// Prints the nanoseconds of one verifySync. Standard input: {"token", "jwks", "userPoolId",
// "clientId"}.
import { readFileSync } from "node:fs";
import { CognitoJwtVerifier } from "aws-jwt-verify";

const { token, jwks, userPoolId, clientId } = JSON.parse(readFileSync(0, "utf8"));
const verifier = CognitoJwtVerifier.create({ userPoolId, clientId, tokenUse: "access" });
verifier.cacheJwks(jwks);

const rounds = [];
for (let round = 0; round < 12; round++) {
  const began = process.hrtime.bigint();
  for (let n = 0; n < 2000; n++) verifier.verifySync(token);
  rounds.push(Number(process.hrtime.bigint() - began) / 2000);
}
rounds.sort((a, b) => a - b);
console.log(rounds[6]);
