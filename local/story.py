"""Gatehouse's walkthrough, run against a stack: after a logout the very next
request with the same token is rejected. Every response is checked; the first unexpected one
ends the walkthrough."""

import concurrent.futures
import json
import os
import queue
import secrets
import time

import provider
from client import PASSWORD, Person, Tokens, claims, expect, forged, one_time_code


def play(state, narrate):
    """Runs the walkthrough with new users. Its parts have separate users and run concurrently; the output of each is
    printed after that of the parts before it."""
    parts = [sessions, administration, account, migration, federation]
    told = [queue.SimpleQueue() for _ in parts]

    def played(part, lines):
        try:
            part(state, lines.put)
        finally:
            lines.put(None)

    with concurrent.futures.ThreadPoolExecutor(len(parts)) as pool:
        playing = [pool.submit(played, *each) for each in zip(parts, told)]
        for lines, part in zip(told, playing):
            for line in iter(lines.get, None):
                if narrate:
                    print(line, flush=True)
            part.result()
    if narrate:
        print("\nAll checks passed.")


def sessions(state, say):
    """Logout of one session and of all sessions."""
    say("\n1. A user signs up, confirms the code from the email, and signs in on two devices.")
    person = Person(state, say)
    person.sign_up()
    phone, laptop = person.sign_in(), person.sign_in()

    say("   A stranger signs up with another person's address: confirmed by its owner, the stranger's password fails.")
    owner = Person(state, say)
    stranger = {"email": owner.email, "password": "the-password-of-a-stranger"}
    owner.api("POST", "/auth/signup", None, stranger, 202)
    confirm = {"email": owner.email, "password": owner.password, "code": owner.code_in_mail()}
    refused = owner.api("POST", "/auth/confirm", None, confirm, 403)
    expect(refused["code"] == "password_reset_required", "the account has the stranger's password")
    owner.cognito("InitiateAuth", {"AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": owner.of(stranger)}, expected=400)
    owner.api("POST", "/auth/forgot-password", None, {"email": owner.email}, 202)
    owner.api("POST", "/auth/confirm-forgot-password", None, confirm | {"code": owner.code_in_mail()}, 200)
    owner.call(owner.log_in().access, 200)

    suspect = {"email": f"ada-{secrets.token_hex(4)}@xn--pple-43d.com", "password": PASSWORD}
    refused = person.api("POST", "/auth/signup", None, suspect, 400)
    expect(refused["code"] == "sign_up_refused", "a domain that is displayed as another one")

    say("\n2. A request without a token is rejected, one with a token reaches the backend.")
    person.call(None, 401)
    context = person.call(phone.access, 200)["context"]
    expect(context["sub"] == claims(phone.access)["sub"], "the context contains the caller")
    person.call(laptop.access, 200)
    person.expect_cors_allowed("/auth/login")
    person.call_by_cookie(laptop.access, 200)
    person.call_by_cookie("not-a-token", 401)

    say("\n3. The phone refreshes its token, then logs out. Its tokens are valid for another half hour.")
    refreshed = person.refresh(phone)
    person.call(refreshed, 200)
    person.log_out(phone.access, {"refresh_token": phone.refresh}, 200)

    say("\n4. The very next request is rejected: with the token, with the refreshed one, and at Cognito.")
    person.call(phone.access, 401)
    person.call(refreshed, 401)
    person.expect_refresh_rejected(phone)
    person.log_out(phone.access, {}, 200, "logging out twice is no error")

    say("\n5. The laptop's session stays valid.")
    person.call(laptop.access, 200)

    say("\n6. A logout without the refresh token: Cognito still refreshes, the API rejects the new token.")
    tablet = person.sign_in()
    person.log_out(tablet.access, {}, 200)
    person.call(person.refresh(tablet), 401)

    say("\n7. A revoked token cannot revoke other sessions; a valid one revokes all of them.")
    person.log_out(phone.access, {"scope": "all"}, 401)
    person.call(laptop.access, 200)
    person.log_out(laptop.access, {"scope": "all"}, 200)
    person.call(laptop.access, 401)
    person.expect_refresh_rejected(laptop)
    person.log_out(laptop.access, {"scope": "all"}, 200, "also if it is revoked already")

    say("\n8. A forged token revokes nothing.")
    person.log_out(forged(laptop.access), {}, 401)

    say("\n9. A new sign-in opens a new session, which can revoke all others.")
    phone, laptop = person.sign_in(), person.sign_in()
    person.api("POST", "/auth/sessions", laptop.access, {"device": "laptop"}, 200)
    person.api("POST", "/auth/sessions", phone.access, {"device": "phone"}, 200)
    sessions = person.api("GET", "/auth/sessions", phone.access, None, 200)["sessions"]
    expect({one["device"] for one in sessions} == {"phone", "laptop"}, "the list contains both")
    ended = claims(laptop.access)["origin_jti"]
    person.api("DELETE", f"/auth/sessions/{ended}", phone.access, None, 200, "/auth/sessions/{laptop}")
    person.call(laptop.access, 401)
    tablet = person.sign_in()
    person.log_out(tablet.access, {"scope": "others"}, 200)
    person.call(phone.access, 401)
    person.call(tablet.access, 200)


def administration(state, say):
    """Administrators' calls, and connections that are closed with their session."""
    say("\n10. An administrator disables an account and enables it again.")
    person = Person(state, say)
    person.sign_up()
    tablet = person.sign_in()
    boss = Person(state, say)
    boss.sign_up()
    boss.join_group("admins")
    boss.join_group("tenant-story")
    boss = boss.sign_in().access
    context = person.call(boss, 200)["context"]
    expect(context["roles"] == '["administrator"]', "a claim from claims.json")
    expect(context["tenant"] == "story", "a second claim from claims.json")
    user = claims(tablet.access)["sub"]
    shown = "/admin/users/{user}"
    person.api("POST", f"/admin/users/{user}/disable", tablet.access, {}, 403, f"{shown}/disable")
    person.api("POST", f"/admin/users/{user}/disable", boss, {"reason": "story"}, 200, f"{shown}/disable")
    person.call(tablet.access, 401)
    time.sleep(1.1)  # Within one second, disabling wins over enabling.
    person.api("POST", f"/admin/users/{user}/enable", boss, {}, 200, f"{shown}/enable")
    person.call(tablet.access, 401)
    tablet = person.sign_in()
    person.call(tablet.access, 200)

    say("\n11. A WebSocket connection is closed with the session that opened it.")
    person.expect_connection_rejected("not-a-token")
    connection = person.connect(tablet.access)
    expect(connection.is_open(), "it is open while the session is valid")
    person.log_out(tablet.access, {}, 200)
    connection.expect_closed_soon()
    person.expect_connection_rejected(tablet.access)

    say("\n12. An administrator deletes the user: the token is rejected.")
    gone = Person(state, say)
    gone.sign_up()
    token = gone.sign_in().access
    gone.call(token, 200)
    person.api("DELETE", f"/admin/users/{claims(token)['sub']}", boss, None, 200, shown)
    gone.call(token, 401)


def account(state, say):
    """Users' changes to their own account, and CloudTrail's records."""
    say("\n13. A password change revokes all sessions at once; the client that made it gets a new one.")
    person = Person(state, say)
    person.sign_up()
    other, before = person.sign_in(), person.sign_in()
    change = {"current_password": person.password, "new_password": "another-Pass-phrase", "keep_session": True}
    tablet = Tokens.of_api(person.api("POST", "/auth/change-password", before.access, change, 200))
    person.password = change["new_password"]
    person.call(tablet.access, 200)
    person.call(before.access, 401)
    person.call(other.access, 401)
    person.expect_refresh_rejected(other)
    person.api("POST", "/auth/refresh", None, {"refresh_token": tablet.refresh}, 200)

    say("\n14. A password reset revokes all sessions.")
    person.api("POST", "/auth/forgot-password", None, {"email": person.email}, 202)
    reset = {"email": person.email, "code": person.code_in_mail(), "password": PASSWORD}
    person.api("POST", "/auth/confirm-forgot-password", None, reset, 200)
    person.password = PASSWORD
    person.call(tablet.access, 401)
    tablet = person.log_in()
    person.call(tablet.access, 200)

    say("   A sign-in without sending the password (SRP).")
    expect(person.log_in_by_srp("another-one", 401) is None, "a proof with a wrong password is rejected")
    person.call(person.log_in_by_srp(person.password).access, 200)

    say("\n15. An authenticator: from now on a sign-in requires its code (RFC 6238).")
    totp = person.api("POST", "/auth/mfa/totp", tablet.access, {}, 200)
    code = {"code": one_time_code(totp["secret"])}
    person.api("POST", "/auth/mfa/totp/verify", tablet.access, code, 200)
    challenge = person.log_in()
    expect(challenge["challenge"] == "SOFTWARE_TOKEN_MFA", "the sign-in requires the code")
    answer = {name: challenge[name] for name in ("challenge", "session", "username")}
    code = {"code": one_time_code(totp["secret"])}
    tablet = Tokens.of_api(person.api("POST", "/auth/challenge", None, answer | code, 200))
    me = person.api("GET", "/auth/me", tablet.access, None, 200)
    expect(me["mfa"] == ["SOFTWARE_TOKEN_MFA"] and me["attributes"]["email"] == person.email, "me")

    say("\n16. A sign-out in AWS's console: after CloudTrail's record the token is rejected here too.")
    person.send_cloudtrail_event("AdminUserGlobalSignOut", claims(tablet.access)["sub"])
    person.expect_rejected_soon(tablet.access)


def migration(state, say):
    """Users of an old pool, who are migrated when they sign in."""
    say("\n17. A user of the old, case-sensitive pool signs in here and is migrated.")
    grace = Person(state, say)
    grace.email, grace.password = f"grace-{secrets.token_hex(4)}@example.com", "Old-Password-1906"
    grace.add_to_old_pool(grace.email.capitalize())
    grace.ensure_group("staff")
    moved = grace.log_in()
    groups = claims(grace.refresh(moved)).get("cognito:groups")
    expect(groups == ["staff"], "with her group, under its name in this pool")
    expect(grace.api("GET", "/auth/me", moved.access, None, 200)["attributes"]["name"] == "Grace", "with her name")
    twin = Person(state, say)
    twin.email, twin.password = f"twin-{secrets.token_hex(4)}@example.com", grace.password
    twin.add_to_old_pool(twin.email)
    twin.add_to_old_pool(twin.email.capitalize())
    twin.log_in(401)
    with grace.conflict_rule("verified-wins"):
        twin = Person(state, say)
        twin.email, twin.password = f"twin-{secrets.token_hex(4)}@example.com", grace.password
        twin.add_to_old_pool(twin.email)
        twin.add_to_old_pool(twin.email.capitalize(), verified=False)
        twin.log_in()


def federation(state, say):
    """Users of another identity provider."""
    say("\n18. A user signs in with another identity provider: it is the same account, unless it has an authenticator.")
    eve, fay = Person(state, say), Person(state, say)
    eve.api("POST", "/auth/signup", None, eve.credentials(), 202)
    fay.sign_up()
    with provider.running(f"Fay-{secrets.token_hex(4)}", fay.email) as address:
        fay.configure_provider(address)
        federated = fay.federated_sign_in()
        expect(claims(federated)["sub"] == claims(fay.sign_in().access)["sub"], "linked by the verified address")
        fay.call(federated, 200)
    subject = secrets.token_hex(4)
    with provider.running(subject, eve.email) as address:
        eve.configure_provider(address)
        stranger = claims(eve.federated_sign_in())
        expect(stranger["username"] == f"Corp_{subject}", "an unconfirmed account is not linked")


def print_curl(state):
    """Prints the walkthrough as shell commands."""
    print(
        f"""
The stack is running: an account console at {state['cognito']}/console/, the emails at
{state['cognito']}/outbox. The walkthrough as shell commands:

  API={state['api']}
  ME=ada+$RANDOM@example.com PW={PASSWORD}
  post() {{ curl -s -H 'Content-Type: application/json' "${{@:3}}" -d "$2" $API$1; }}
  post /auth/signup '{{"email":"'$ME'","password":"'$PW'"}}'
  post /auth/confirm '{{"email":"'$ME'","password":"'$PW'","code":"123456"}}' # or press the button in the email
  TOKEN=$(post /auth/login '{{"email":"'$ME'","password":"'$PW'"}}' | python3 -c 'import json,sys; print(json.load(sys.stdin)["access_token"])')
  curl -i -H "Authorization: Bearer $TOKEN" $API/whoami                 # 200, and who you are
  curl -i -H "Authorization: Bearer $TOKEN" -X POST $API/auth/logout    # 200
  curl -i -H "Authorization: Bearer $TOKEN" $API/whoami                 # 401, with the same token

`make demo` runs the walkthrough again, `make stop` stops the stack."""
    )


if __name__ == "__main__":
    play(json.loads(os.environ["GATEHOUSE_STACK"]), narrate=True)
