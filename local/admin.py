#!/usr/bin/env python3
"""Makes a user an administrator: creates the group if it does not exist, and adds the user.

    admin.py [--config NAME] [--stack NAME --region REGION] USER

USER is an e-mail address, a user name or a `sub`. The user must have signed up before.
"""

import account
import target
from account import Problem


def main(arguments):
    stack = target.of(arguments, "admin", lambda made: made.add_argument("user"))
    make_administrator(stack, stack.options.user)
    return 0


def make_administrator(stack, user):
    cognito = stack.client("cognito-idp")
    pool = stack.output("UserPoolId")
    group = stack.parameters.get("AdminGroup", "admins")
    found = find(cognito, pool, user)
    try:
        cognito.create_group(UserPoolId=pool, GroupName=group, Description="May call /admin.")
        print(f"Created the group {group}.")
    except cognito.exceptions.GroupExistsException:
        pass
    cognito.admin_add_user_to_group(UserPoolId=pool, GroupName=group, Username=found["Username"])
    print(f"{user} is in the group {group}. Tokens contain the groups at the time of issue: sign in again, or refresh.")


def find(cognito, pool, user):
    """The one user of that address, name or sub. Several users, or one who is not confirmed or disabled, are a Problem."""
    try:
        found = [cognito.admin_get_user(UserPoolId=pool, Username=user)]
    except cognito.exceptions.UserNotFoundException:
        if '"' in user or "\\" in user:
            raise Problem(f"There is no user {user}.") from None
        found = []
        for attribute in ("email", "sub"):
            found += cognito.list_users(UserPoolId=pool, Filter=f'{attribute} = "{user}"', Limit=2)["Users"]
    if not found:
        raise Problem(f"There is no user {user} in {pool}. The first administrator signs up as any user does, and is then added.")
    if len(found) > 1:
        names = ", ".join(one["Username"] for one in found)
        raise Problem(f"Several users have the address {user}: name one of {names}.")
    state = found[0].get("UserStatus")
    if state == "UNCONFIRMED":
        raise Problem(f"{user} has not confirmed the address yet: an administrator must own the address.")
    if not found[0].get("Enabled", True):
        raise Problem(f"{user} is disabled.")
    return found[0]


if __name__ == "__main__":
    account.run(main)
