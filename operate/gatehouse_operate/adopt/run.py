"""Applies and undoes a plan, step by step, with a line in the journal before and after each call that changes AWS."""

import datetime
import time

from . import functions, http_api, pool, read, rest_api
from .common import MADE, Refused, Unfinished, differences, resolved, settled

KINDS = {
    "triggers": pool.Triggers,
    "token-revocation": pool.TokenRevocation,
    "permission": functions.Permission,
    "rest-authorizer": rest_api.Authorizer,
    "rest-method": rest_api.Method,
    "rest-deployment": rest_api.Deployment,
    "rest-stage": rest_api.Stage,
    "http-authorizer": http_api.Authorizer,
    "http-route": http_api.Route,
    "http-deployment": http_api.Deployment,
    "http-stage": http_api.Stage,
}
# Kinds whose change requests and sign-ins meet.
LIVE = {"triggers", "rest-stage", "http-route", "http-stage"}
# Kinds whose removal must wait until no request meets them.
ENTRANCE = {"permission", "rest-authorizer", "http-authorizer"}
# By how much this machine's clock and AWS's may differ: a larger difference invalidates signatures.
SKEW = datetime.timedelta(minutes=5)
IN_USE = "in use by "
WATCHERS = {
    "pool": pool.watched_pool,
    "client": pool.watched_client,
    "function": functions.watched_function,
    "rest-api": rest_api.watched_rest_api,
    "http-api": http_api.watched_http_api,
    "others": read.watched_others,
}


def apply(aws, plan, journal, say, settle=30, wait=False, sleep=time.sleep):
    """Brings every step to its `after`. Continues where an earlier process stopped.

    Raises Refused if a resource is neither as planned nor as applied, Unfinished if tokens have to expire first."""
    check(aws, plan, journal)
    journal.write("apply")
    for number, step in enumerate(plan["steps"], 1):
        line = f"[{number}/{len(plan['steps'])}] {step['says']}"
        if step["kind"] == "pause":
            pause(step, journal, settle, wait, sleep, say, line)
            continue
        if step["id"] in journal.done():
            say(f"{line}: done before")
            continue
        made = journal.made()
        now = KINDS[step["kind"]].read(aws, step)
        before, after = resolved(step["before"], made), resolved(step["after"], made)
        if now.state == after:
            journal.write("done", step=step["id"], id=now.id, wrote=step["id"] in journal.begun())
            say(f"{line}: found done")
            continue
        if now.state != before:
            raise Refused(f"{step['id']} is neither as planned nor as applied: {described(now.state)}.")
        journal.write("begin", step=step["id"], found=now.state)
        KINDS[step["kind"]].write(aws, step, now, after)
        found = read_until(aws, step, after)
        if found.state != after:
            raise Refused(f"{step['id']} was written and reads differently: {described(found.state)}.")
        journal.write("done", step=step["id"], id=found.id, wrote=True)
        say(f"{line}: done")
    journal.write("apply-finished")


def read_until(aws, step, state):
    """The step's resource, as soon as it reads as this state."""
    return settled(lambda: KINDS[step["kind"]].read(aws, step), lambda found: found.state == state)


def check(aws, plan, journal):
    """Raises Refused if an undo is not finished or a resource has changed since the plan. Changes nothing."""
    if journal.undoing():
        raise Refused("An undo of this plan was begun. Finish it with `undo --yes`.")
    check_watched(aws, plan, bool(journal.begun() or journal.done()))
    check_steps(aws, plan, journal)


def check_watched(aws, plan, continued):
    """Raises Refused with everything that is no longer as the plan read it.

    Other APIs that were adopted since matter before the first step: the plan's rules may lack theirs."""
    drifted = []
    for one in plan["watched"]:
        if continued and one["kind"] == "others":
            continue
        changed = differences(one["fingerprints"], WATCHERS[one["kind"]](aws, one["target"]))
        drifted += [f"{one['id']}: {name}" for name in changed]
    if drifted:
        raise Refused("Changed since the plan:\n  " + "\n  ".join(drifted) + "\nPlan again.")


def check_steps(aws, plan, journal):
    """Raises Refused if a step's resource was changed since the plan, before the first step is applied."""
    made, drifted = journal.made(), []
    done = journal.done()
    for step in changes(plan):
        now = KINDS[step["kind"]].read(aws, step).state
        after, before = resolved(step["after"], made), resolved(step["before"], made)
        if now != after and (step["id"] in done or now != before):
            drifted.append(f"{step['id']}: {described(now)}")
    if drifted:
        raise Refused("Changed since the plan:\n  " + "\n  ".join(drifted) + "\nUndo what was applied, and plan again.")


def pause(step, journal, settle, wait, sleep, say, line):
    """Waits until what was written has reached every part of AWS, or until the tokens of before have expired."""
    if journal.done_after(step["id"], step["target"]["after"]):
        return
    # Also of what was found done: another hand did it since the plan.
    written = [line for one, line in journal.done().items() if one in step["target"]["after"]]
    if step["target"]["reason"] == "settle":
        say(f"{line}: {settle} s")
        sleep(settle)
    else:
        last = max(datetime.datetime.fromisoformat(one["at"]) for one in written)
        until = last + datetime.timedelta(seconds=step["target"]["seconds"])
        left = (until - datetime.datetime.now(datetime.UTC)).total_seconds()
        if left > 0 and not wait:
            raise Unfinished(f"{line}: repeat the command after {until.isoformat(timespec='seconds')}, or with --wait.")
        if left > 0:
            say(f"{line}: until {until.isoformat(timespec='seconds')}")
            sleep(left)
    journal.write("done", step=step["id"], id=None, wrote=False)


def undo(aws, plan, journal, say, force=(), settle=30, sleep=time.sleep):
    """Brings every step that was begun back to its `before`, the last one first. Continues an undo that stopped.

    Raises Refused, before the first change, if a resource is neither as applied nor as before or is used by another
    hand, unless `force` has the step's id. Then a stage gets a new deployment of the restored methods, another changed
    resource its former state, and one that is gone or in use is left out, with the permission that it needs."""
    steps = to_undo(plan, journal)
    foreign = changed_by_others(aws, plan, journal)
    refused = [f"{step}: {text}" for step, text in foreign.items() if step not in force]
    if refused:
        text = "\n  ".join(refused)
        raise Refused(f"Changed by another hand since apply:\n  {text}\nName each with --force to overwrite it.")
    stages = [step for step in steps if step["id"] in foreign and step["kind"].endswith("-stage")]
    steps = with_stages_after_methods(steps, stages)
    journal.write("undo")
    live = {step["id"] for step in plan["steps"] if step["kind"] in LIVE}
    for number, step in enumerate(steps, 1):
        line, kind = f"[{number}/{len(steps)}] back: {step['says']}", KINDS[step["kind"]]
        if step["kind"] in ENTRANCE and journal.unsettled(live):
            say(f"waiting {settle} s until every part of AWS serves the former configuration")
            sleep(settle)
            journal.write("undo-waited")
        now, deployed = kind.read(aws, step), None
        if now.state == step["before"]:
            say(f"{line}: as before")
        elif now.state is None or step["id"] in foreign and step["before"] is None:
            say(f"{line}: left out")
        elif step["kind"] == "permission" and (user := user_of(aws, plan, step)):
            say(f"{line}: left out, because {user} uses it")
        else:
            journal.write("undo-begin", step=step["id"], found=now.state)
            if step in stages:
                deployed = kind.redeploy(aws, step, f"gatehouse adopt undo {plan['id']}")
            else:
                kind.write(aws, step, now, step["before"])
            found = read_until(aws, step, step["before"]).state if step not in stages else step["before"]
            if found != step["before"]:
                raise Refused(f"{step['id']} was written back and reads differently: {described(found)}.")
            say(f"{line}: done")
        journal.write("undone", step=step["id"], **({"made": deployed} if deployed else {}))
    journal.write("undo-finished")


def to_undo(plan, journal):
    """The steps that this plan wrote, or may have written, the last one first. What it found done is not undone.

    Permissions come after everything that needs them: it may have to stay."""
    written = journal.begun() | {step for step, line in journal.done().items() if line["wrote"]}
    steps = [step for step in reversed(changes(plan)) if step["id"] in written]
    return sorted(steps, key=lambda step: step["kind"] == "permission")


def user_of(aws, plan, step):
    """What would still use a permission of the plan, which no other statement grants, or None."""
    if functions.Permission.is_granted_otherwise(aws, step):
        return None
    authorizers = MADE.findall(step["after"]["source"])
    for one in plan["steps"]:
        if one["id"] in authorizers and KINDS[one["kind"]].read(aws, one).state is not None:
            return one["id"]
    if not authorizers and pool.invokes(aws, plan["pool"], step["target"]["function"]):
        return "the pool"
    return None


def changed_by_others(aws, plan, journal):
    """What another hand changed or uses since apply, by step."""
    made, steps = made_now(aws, plan, journal), to_undo(plan, journal)
    restored = {step["id"] for step in steps}
    return {step["id"]: text for step in steps if (text := by_another_hand(aws, step, made, restored, journal))}


def by_another_hand(aws, step, made, restored, journal):
    """What another hand changed or uses of a step's resource, or None. `restored` are the steps of the undo."""
    kind = KINDS[step["kind"]]
    found = kind.read(aws, step)
    if found.state not in (resolved(step["after"], made), step["before"]):
        return described(found.state)
    if step["before"] is None and found.id and hasattr(kind, "used_by"):
        since = journal.begun_at(step["id"]) - SKEW
        users = [one for one in kind.used_by(aws, step, found.id, since, journal.redeployed()) if one not in restored]
        return IN_USE + ", ".join(users) if users else None
    return None


def with_stages_after_methods(steps, stages):
    """The order of an undo in which these stages are deployed again once their methods and routes are restored."""
    others = [step for step in steps if step not in stages]
    last = max((at for at, step in enumerate(others, 1) if step["kind"] in ("rest-method", "http-route")), default=0)
    return others[:last] + stages + others[last:]


def made_now(aws, plan, journal):
    """The ids of created resources, also of those whose creation no line of the journal confirms."""
    made = journal.last_made()
    for step in changes(plan):
        if step["before"] is None and step["kind"] != "permission" and step["id"] not in made:
            found = KINDS[step["kind"]].read(aws, step)
            if found.id:
                made[step["id"]] = found.id
    return made


def changes(plan):
    """The steps without the pauses."""
    return [step for step in plan["steps"] if step["kind"] != "pause"]


def described(state):
    """A state for people: it has no secrets."""
    return "absent" if state is None else ", ".join(f"{name} {value}" for name, value in state.items())
