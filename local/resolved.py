"""What a function's binary is made of, resolved from the manifests that `cargo metadata` lists: kinds of dependencies,
platforms and features as cargo's resolver 2 treats them. `cargo tree` is not asked, so that each checks the other."""

import collections

Crate = collections.namedtuple("Crate", "name version")
# A package as it is compiled: for the function itself, or for the machine that builds (macros, build scripts), each
# with features of its own.
Unit = collections.namedtuple("Unit", "id is_host")


class Resolution:
    """The units of one function for one platform. `metadata` is `cargo metadata --filter-platform`, parsed."""

    def __init__(self, metadata, function):
        self.packages = {package["id"]: package for package in metadata["packages"]}
        self.nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
        members = set(metadata["workspace_members"])
        [root] = [one for one in members if self.packages[one]["name"] == function]
        self.root = Unit(root, False)
        self.features = collections.defaultdict(set)
        # Optional dependencies that a feature enables, and features of dependencies that one asks for, by unit.
        self.enabled = collections.defaultdict(set)
        self.asked = collections.defaultdict(set)
        self.edges = set()
        self.resolve()

    def resolve(self):
        self.enable(self.root, "default")
        reached = [self.root]
        # Features reach a unit by several ways, so until nothing is added.
        while True:
            before = self.size()
            for unit in reached:
                for kind, name, dependency, child in self.dependencies(unit):
                    self.edges.add((kind, unit, child))
                    wanted = {*dependency["features"], *self.asked[unit, name]}
                    if dependency["uses_default_features"]:
                        wanted.add("default")
                    for feature in wanted:
                        self.enable(child, feature)
            reached = [self.root, *{child for _, _, child in self.edges}]
            if self.size() == before:
                return

    def size(self):
        return len(self.edges) + sum(sum(map(len, some.values())) for some in (self.features, self.enabled, self.asked))

    def enable(self, unit, feature):
        """Enables a feature with all that it brings; a package need not have `default`."""
        known = self.packages[unit.id]["features"]
        if feature in self.features[unit] or feature not in known:
            return
        self.features[unit].add(feature)
        for value in known[feature]:
            name, _, its = value.partition("/")
            if value.startswith("dep:"):
                self.enabled[unit].add(value.removeprefix("dep:"))
            elif not its:
                self.enable(unit, value)
            else:
                # `name?/its` asks only if something else enables the dependency.
                if not name.endswith("?"):
                    self.enabled[unit].add(name)
                    self.enable(unit, name)
                self.asked[unit, name.removesuffix("?")].add(its)

    def dependencies(self, unit):
        """The active dependencies of a unit: (kind, name, the manifest's entry, the unit)."""
        for dependency in self.packages[unit.id]["dependencies"]:
            name = dependency["rename"] or dependency["name"]
            if dependency["kind"] == "dev" or dependency["optional"] and name not in self.enabled[unit]:
                continue
            for found in self.nodes[unit.id]["deps"]:
                kinds = [(one["kind"], one["target"]) for one in found["dep_kinds"]]
                if self.is_of(found, dependency) and (dependency["kind"], dependency["target"]) in kinds:
                    is_host = unit.is_host or dependency["kind"] == "build" or self.is_macro(found["pkg"])
                    yield dependency["kind"], name, dependency, Unit(found["pkg"], is_host)

    def is_of(self, found, dependency):
        """Whether a resolved dependency is that of a manifest's entry; two versions of a crate have different names."""
        if self.packages[found["pkg"]]["name"] != dependency["name"]:
            return False
        return found["name"] == (dependency["rename"] or self.library(found["pkg"])).replace("-", "_")

    def library(self, package):
        kinds = {"lib", "rlib", "dylib", "cdylib", "staticlib", "proc-macro"}
        return next(one["name"] for one in self.packages[package]["targets"] if kinds & set(one["kind"]))

    def is_macro(self, package):
        return any("proc-macro" in one["kind"] for one in self.packages[package]["targets"])

    def crate(self, unit):
        return Crate(self.packages[unit.id]["name"], self.packages[unit.id]["version"])

    def normal(self):
        """The crates of the binary, macros included, without what only build scripts use: (crates, edges)."""
        below = collections.defaultdict(set)
        for kind, unit, child in self.edges:
            if kind is None:
                below[unit].add(child)
        reached, left = {self.root}, [self.root]
        while left:
            new = below[left.pop()] - reached
            reached |= new
            left += new
        edges = {(self.crate(unit), self.crate(child)) for unit in reached for child in below[unit]}
        return {self.crate(unit) for unit in reached}, edges


def of(metadata, function):
    """The crates and the edges of a function on all platforms of which the metadata are given."""
    crates, edges = set(), set()
    for one in metadata:
        some, between = Resolution(one, function).normal()
        crates |= some
        edges |= between
    return crates, edges
