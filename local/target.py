"""Selects the deployed stack of a script: an environment of samconfig.toml, or a stack by its name."""

import argparse

import tomlkit

import account
import deploy
from account import Problem


def options(arguments, name, extend=lambda made: None):
    made = argparse.ArgumentParser(prog=f"make {name}")
    made.add_argument("--config", default="", help="an environment of samconfig.toml")
    made.add_argument("--stack", default="", help="a stack's name, regardless of samconfig.toml")
    made.add_argument("--region", default="", help="its region; the shell's if not given")
    extend(made)
    return made.parse_args(arguments)


def named(given):
    """The stack's name, its region and its environment; the region may be the shell's."""
    if given.stack:
        return given.stack, given.region or None, ""
    document = tomlkit.parse(deploy.CONFIG.read_text())
    choice = deploy.chosen(document, given.config)
    return choice.stack, given.region or choice.region or None, choice.name


def session(region):
    """A session with a region and with credentials that AWS accepts."""
    made = account.session(region)
    if not made.region_name:
        raise Problem("No region: set AWS_REGION, or select an environment of samconfig.toml with CONFIG=.")
    account.identity(made)
    return made


def of(arguments, name, extend=lambda made: None):
    """The deployed stack that the arguments name; further arguments are in its `options`."""
    given = options(arguments, name, extend)
    stack, region, environment = named(given)
    found = account.Stack(session(region), stack)
    found.options = given
    found.environment = environment
    print(f"The stack {stack} in {found.region}.", flush=True)
    return found
