"""A tree on the host, and the table that changes what a session sees of it. All by chance, from a
seed: names are few, so that they meet often."""
import os
import random
import subprocess

from reference import Entry

NAMES = ["a", "b", "c", "d", "e", "mount", "x y", "secret", "new\nline", "f\udcff"]


class World:
    def __init__(self, base, seed, shadows):
        self.base, self.shadows = base, shadows
        self.random = random.Random(seed)
        self.files = 0
        self.entries = []
        self.commands = []  # of hirsel, in their order
        self.nodes = []  # (host path, archive, tree, whether the node was moved by a test)
        self.moving = []  # names that tests change all the time
        self.fixed = []  # host paths that must stay where they are
        self.taken = set()  # names that are kept free for the table

    # ---- the host ----

    def file(self, path):
        self.files += 1
        with open(path, "w") as file:
            file.write(f"{self.files} {os.path.relpath(path, self.base)}"[:200].encode("utf-8", "replace").decode())

    def fresh(self, directory, names=NAMES):
        """A name that is not there yet."""
        free = [n for n in names if not os.path.lexists(f"{directory}/{n}") and
                f"{directory}/{n}" not in self.taken]
        return f"{directory}/{self.random.choice(free)}" if free else f"{directory}/n{self.files}.{len(os.listdir(directory))}"

    def grow(self, directory, depth):
        os.makedirs(directory, exist_ok=True)
        for _ in range(self.random.randint(1, 3)):
            self.file(self.fresh(directory))
        if depth > 0:
            for _ in range(self.random.randint(1, 3)):
                self.grow(self.fresh(directory), depth - 1)

    def inside(self, directory, kind):
        """A child of this directory that is a "d" or an "f"; made if there is none."""
        found = [f"{directory}/{n}" for n in sorted(os.listdir(directory))]
        found = [p for p in found if not os.path.islink(p) and os.path.isdir(p) == (kind == "d") and
                 p not in self.taken]
        if found:
            return self.random.choice(found)
        path = self.fresh(directory)
        self.grow(path, 1) if kind == "d" else self.file(path)
        return path

    # ---- the table ----

    def entry(self, entry, *command):
        self.entries.append(entry)
        self.taken.add(entry.path)
        self.commands.append(list(command))

    def bind(self, path, tree, read_only=False):
        self.fixed += [tree, os.path.dirname(path)]
        option = ["--read-only"] if read_only else []
        self.entry(Entry("bind", path, tree, read_only), "bind", *option, tree, path)

    def hide(self, path):
        self.fixed.append(path)
        self.entry(Entry("hide", path), "bind", "--hide", path)

    def symlink(self, path, text):
        self.fixed.append(os.path.dirname(path))
        self.entry(Entry("symlink", path, text=text), "bind", "--symlink", text, path)

    def archive(self, number):
        """A tree with symlinks in it and out of it, and a .tar of it."""
        tree, tar = f"{self.base}/trees/{number}", f"{self.base}/tar{number}.tar"
        self.grow(tree, 2)
        places = [os.path.join(d, f) for d, ds, fs in os.walk(tree) for f in ds + fs]
        for _ in range(8):
            directory = self.random.choice([p for p in places if os.path.isdir(p)] + [tree])
            path = self.fresh(directory)
            inner = os.path.relpath(self.random.choice(places), directory)
            outer = "/".join([".."] * self.random.randint(1, 5) + [self.random.choice(NAMES)])
            os.symlink(self.random.choice([inner, inner, inner + "/../.", outer,
                                           f"{self.base}/h/p/{self.random.choice(NAMES)}"]), path)
        for directory, _, _ in os.walk(tree):
            os.utime(directory, (1e9, 1e9))
        names = sorted(os.listdir(tree))
        subprocess.run(["tar", "cf", tar, "--format=pax", "-C", tree, "--"] + names, check=True)
        return tree, tar

    def node(self, path, active):
        tree, tar = self.archive(len(self.nodes))
        if active:
            self.fixed.append(path)
            self.entry(Entry("node", path, tree, True), "settrans", "-a", path, "archive", tar)
        else:
            self.taken.add(path)
            self.commands.append(["settrans", "-c", path, "archive", tar])
        self.nodes.append((path, tree, active))

    def make(self, translators):
        h = f"{self.base}/h"
        p, q = f"{h}/p", f"{h}/q"
        targets = [f"{h}/{n}" for n in ("t0", "t1", "t2", "t3", "t4", "t5", "t6")]
        for directory in [p, q] + targets:
            self.grow(directory, 2)
        chance = self.random.random
        t0, t1, t2, t3, t4, t5, t6 = targets
        outer = self.fresh(p)
        self.bind(outer, t0)
        self.bind(self.inside(q, "d") if self.shadows else self.fresh(q), t1)
        self.bind(self.inside(p, "f") if self.shadows and chance() < .5 else self.fresh(p), self.inside(t2, "f"))
        self.bind(self.inside(q, "d") if self.shadows and chance() < .5 else self.fresh(q), t3, read_only=True)
        # A bind inside a bind: its name is the outer bind's, its place in the outer bind's tree.
        last = (self.inside(t0, "d") if self.shadows and chance() < .5 else self.fresh(t0)).rsplit("/", 1)[1]
        self.taken.add(f"{t0}/{last}")
        self.bind(f"{outer}/{last}", t4)
        self.symlink(self.fresh(p), "../q/" + self.random.choice(NAMES))
        self.symlink(self.fresh(q), f"{outer}/{last}/..")
        # Directories bound below themselves, one of which has another name as well; and two names of
        # one directory, with something below each.
        self.bind(self.fresh(t4), t4)
        self.bind(self.fresh(t5), t5)
        one, other = self.fresh(p), self.fresh(q)
        self.bind(one, t6)
        self.bind(other, t6)
        self.symlink(f"{one}/{os.path.basename(self.fresh(t6))}", "..")
        self.symlink(f"{other}/{os.path.basename(self.fresh(t6))}", self.random.choice(NAMES))
        self.bind(self.fresh(t6), t2)
        if self.shadows:
            self.hide(f"{other}/{os.path.basename(self.inside(t6, 'd'))}")
            self.hide(self.inside(p, "d"))
            self.hide(self.inside(q, "f"))
            veiled = self.inside(t0, "d")
            self.taken.add(veiled)
            self.hide(f"{outer}/{os.path.basename(veiled)}")
        if translators:
            if self.shadows:
                self.node(self.inside(p, "d"), True)
            self.node(self.fresh(q), False)
            self.node(self.fresh(t1), False)
        self.movers(p, q, t0, t3)
        self.forged(q)
        self.links([p, q] + targets)
        os.makedirs(f"{h}/shut/in")
        self.file(f"{h}/shut/file")
        os.chmod(f"{h}/shut", 0o600)
        self.h = h

    def movers(self, *directories):
        for number in range(4):
            directory = self.random.choice(directories)
            self.moving.append(f"{directory}/m{number}")
            self.grow(f"{directory}/z{number}", 1)
            self.moving.append(f"{directory}/z{number}")

    def forged(self, directory):
        """A node's symlink that this user's session did not make."""
        os.symlink(f"/.hirsel/1/{'0' * 64}/f/hello", self.fresh(directory))

    # ---- symlinks of the host ----

    def known(self):
        """Names worth leading to: the host's, and those in the session below the table's."""
        found = [os.path.join(d, n) for d, ds, fs in os.walk(f"{self.base}/h") for n in ds + fs]
        for path, tree in [(e.path, e.tree) for e in self.entries] + [(n[0], n[1]) for n in self.nodes]:
            found.append(path)
            for directory, folders, files in os.walk(tree) if tree else []:
                found += [path + os.path.join(directory, n)[len(tree):] for n in folders + files]
        found += [e.path + "/" + n for e in self.entries for n in NAMES[:3] if e.kind == "hide"]
        # What the table says is a small part of the tree; half of the symlinks lead there.
        special = [f for f in found if any((f + "/").startswith(e.path + "/") for e in self.entries) or
                   any((f + "/").startswith(n[0] + "/") for n in self.nodes)]
        return found, special

    def text(self, directory):
        """A symlink's text, for a symlink in this directory."""
        found, special = self.targets
        target = self.random.choice(special if self.random.random() < .6 else found)
        if self.random.random() < .15:
            return "/".join(self.random.choice(NAMES + ["..", "..", "."]) for _ in range(self.random.randint(1, 4)))
        if self.random.random() < .5:
            target = os.path.relpath(target, directory)
        end = self.random.random()
        if end < .1:
            target += "/"
        elif end < .2:
            target += "/.."
        elif end < .25:
            target += "/./"
        if self.random.random() < .15:
            target = target.replace("/", "//", 1) if self.random.random() < .5 else target.replace("/", "/./")
        return target

    def links(self, directories):
        self.targets = self.known()
        places = [d for top in directories for d, _, _ in os.walk(top)]
        for _ in range(60):
            directory = self.random.choice(places)
            os.symlink(self.text(directory), self.fresh(directory, NAMES + ["l0", "l1", "l2", "l3", "l4", "l5"]))
        loop = self.fresh(directories[0], ["loop"])
        os.symlink("loop/x" if self.random.random() < .5 else "../p/loop", loop)
        # A long chain: 40 symlinks are followed, 41 are not.
        for number in range(42):
            os.symlink(f"chain{number - 1}" if number else "..", f"{directories[1]}/chain{number}")
