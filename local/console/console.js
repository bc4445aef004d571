// A small account console over the API of openapi.yaml. Tokens stay in this page's memory.

const api = (await (await fetch("config.json")).json()).api;
const find = (id) => document.getElementById(id);
const state = { email: "", tokens: null, challenge: null };
// The password of a sign-up that waits for its code.
let chosen = "";

async function call(method, path, body, token = state.tokens?.access_token) {
  const headers = { "content-type": "application/json" };
  if (token) headers.authorization = `Bearer ${token}`;
  const options = { method, headers };
  if (body !== undefined) options.body = JSON.stringify(body);
  const response = await fetch(api + path, options);
  const answer = await response.json().catch(() => ({}));
  return { ...answer, status: response.status };
}

const words = {
  invalid_credentials: "Wrong address or password, or an unconfirmed address: look for our email.",
  invalid_code: "This code is wrong or has expired.",
  user_not_confirmed: "Please confirm your address first.",
  too_many_requests: "Too many attempts. Please wait a few minutes.",
  bad_request: "Please check what you entered.",
  sign_up_refused: "You can't sign up with this address.",
  address_refused: "You can't use this address.",
  password_reset_required: "Please reset your password first.",
  password_change_required: "Please choose a new password.",
  proof_needed: "Please enter your password again.",
};

function say(text) {
  find("message").textContent = text;
}

function failed(answer) {
  say(words[answer.code] ?? answer.detail ?? `That did not work (${answer.status}).`);
}

function show() {
  const inside = state.tokens !== null;
  find("outside").hidden = inside;
  find("inside").hidden = !inside;
  find("challenge").hidden = state.challenge === null;
  find("sign-in").hidden = state.challenge !== null;
  find("who").textContent = inside ? state.email : "Not signed in";
  if (inside) find("claims").textContent = JSON.stringify(claims(state.tokens.access_token), null, 2);
}

function claims(token) {
  const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
  const bytes = Uint8Array.from(atob(payload), (byte) => byte.codePointAt(0));
  return JSON.parse(new TextDecoder().decode(bytes));
}

async function signedIn(answer) {
  if (answer.challenge) {
    state.challenge = answer;
    say("One more step is needed.");
    return show();
  }
  state.challenge = null;
  state.tokens = answer;
  await call("POST", "/auth/sessions", { device: navigator.userAgentData?.platform || "browser" });
  say("You are signed in.");
  show();
  await listSessions();
}

async function listSessions() {
  const answer = await call("GET", "/auth/sessions");
  const items = (answer.sessions ?? []).map((session) => {
    const item = document.createElement("li");
    const since = new Date(session.signed_in_at * 1000).toLocaleString();
    const text = document.createElement("span");
    text.textContent = `${session.device ?? "unknown"}, since ${since}${session.current ? " (this one)" : ""}`;
    const end = document.createElement("button");
    end.className = "second";
    end.textContent = "End";
    end.setAttribute("aria-label", `End ${text.textContent}`);
    end.addEventListener("click", async () => {
      const ended = await call("DELETE", `/auth/sessions/${encodeURIComponent(session.id)}`);
      ended.status === 200 ? say("The session has ended.") : failed(ended);
      await listSessions();
    });
    item.append(text, end);
    return item;
  });
  find("sessions").replaceChildren(...items);
}

function onSubmit(id, handle) {
  find(id).addEventListener("submit", async (event) => {
    event.preventDefault();
    say("");
    const fields = Object.fromEntries(new FormData(event.target));
    await handle(fields, event.submitter?.value).catch(() => say("The API is unreachable."));
  });
}

function onClick(id, handle) {
  find(id).addEventListener("click", () => handle().catch(() => say("The API is unreachable.")));
}

onSubmit("sign-in", async ({ email, password, new_password }, what) => {
  state.email = email;
  const replaced = what === "login" && new_password ? { new_password } : {};
  const answer = await call("POST", `/auth/${what}`, { email, password, ...replaced });
  find("new-password").hidden = answer.code !== "password_change_required" && answer.code !== "password_policy";
  if (what === "signup") {
    chosen = password;
    find("confirm").hidden = answer.status !== 202;
    return answer.status === 202 ? undefined : failed(answer);
  }
  return answer.status === 200 ? signedIn(answer) : failed(answer);
});

onSubmit("confirm", async ({ code }) => {
  const answer = await call("POST", "/auth/confirm", { email: state.email, code, password: chosen });
  if (answer.status !== 200) return failed(answer);
  chosen = "";
  find("confirm").hidden = true;
  say("Your address is confirmed. You can sign in now.");
});

onSubmit("challenge", async ({ code }) => {
  const { challenge, session, username } = state.challenge;
  const answer = await call("POST", "/auth/challenge", { challenge, session, username, code });
  return answer.status === 200 ? signedIn(answer) : failed(answer);
});

onClick("call", async () => {
  const answer = await call("GET", "/whoami");
  find("called").textContent =
    answer.status === 200 ? `200: signed in as ${answer.principal}` : `${answer.status}: refused`;
});

for (const [id, scope] of [["end-this", "session"], ["end-others", "others"], ["end-all", "all"]]) {
  onClick(id, async () => {
    const { refresh_token } = scope === "others" ? {} : state.tokens;
    const answer = await call("POST", "/auth/logout", { scope, refresh_token });
    if (answer.status !== 200) return failed(answer);
    say(scope === "others" ? "All other sessions have ended." : "Signed out. Your token has not expired yet: call the API to see it refused.");
    await listSessions();
  });
}

async function newAuthenticator(proof) {
  const answer = await call("POST", "/auth/mfa/totp", proof);
  if (answer.code === "proof_needed") askForProof();
  if (answer.status !== 200) return failed(answer);
  find("proof").replaceChildren();
  find("totp-secret").textContent = answer.secret;
  find("totp-picture").src = `data:image/svg+xml,${encodeURIComponent(answer.qr_svg)}`;
  find("totp-form").hidden = false;
}

onClick("totp", () => newAuthenticator({}));

// More than five minutes after the sign-in, or with an authenticator on, the API asks who is there.
function askForProof() {
  find("proof").replaceChildren(find("proof-template").content.cloneNode(true));
  onSubmit("proof-form", ({ password, code }) =>
    newAuthenticator({ current_password: password, ...(code && { code }) }),
  );
}

onSubmit("totp-form", async ({ code }) => {
  const answer = await call("POST", "/auth/mfa/totp/verify", { code });
  if (answer.status !== 200) return failed(answer);
  find("totp-form").hidden = true;
  say("The authenticator is enabled. Signing in now asks for its code.");
});

show();
