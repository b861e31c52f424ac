#!/usr/bin/env python3
"""Random walks in a session, compared with a slow reference walk outside of it.

    compare.py DIRECTORY [--seed N] [--queries N] [--native] [--agents WHO,WHO] [--around NAME]

Makes a tree and a table of names by chance, opens a session with it, and has two processes in the
session ask for thousands of paths; each answer must be the reference's. What changes the tree is
made by the session's processes too, so that what the shim remembers of a way is tried as well.
--native: no session and no table, to try the reference against the kernel alone.
--agents: who asks; "python" is agent.py, any other a program that speaks as programs/walker.c does."""
import argparse
import errno
import json
import os
import random
import select
import shutil
import subprocess
import sys
import time

import expect
from expect import RENAME_EXCHANGE
from reference import (BENEATH, CACHED, IN_ROOT, NO_MAGICLINKS, NO_SYMLINKS, NO_XDEV, PATH_MAX, Session,
                       Where)
from world import NAMES, World

HERE = os.path.dirname(os.path.abspath(__file__))


RESTRICTIONS = [NO_XDEV, NO_XDEV | BENEATH, NO_XDEV | IN_ROOT, NO_MAGICLINKS, NO_SYMLINKS, NO_SYMLINKS | BENEATH, BENEATH,
                BENEATH, BENEATH | NO_MAGICLINKS, IN_ROOT, IN_ROOT, IN_ROOT | NO_SYMLINKS, CACHED, CACHED | BENEATH,
                BENEATH | IN_ROOT, 2 * CACHED]
CHANGES = ("mkdir", "symlink", "unlink", "rmdir", "chmod", "open", "rename", "link")


def encode_value(value):
    return "".join(chr(b) if 48 <= b <= 57 or 97 <= b <= 122 or b in b"./-" else f"%{b:02x}"
                   for b in os.fsencode(str(value)))


def decode_value(value):
    if isinstance(value, list):
        return [decode_value(v) for v in value]
    return os.fsdecode(value.encode("latin-1")) if isinstance(value, str) else value


class Agent:
    """A process in the session."""

    def __init__(self, command, directory, who):
        self.python = who == "python"
        program = [sys.executable, "-S", f"{HERE}/agent.py"] if self.python else [who]
        self.process = subprocess.Popen(command + program, cwd=directory,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.descriptors = {}  # our number -> theirs
        self.virtual = {}  # "cwd" or our number -> Where, if in a node
        self.pid = None

    def encode(self, request):
        if self.python:
            return json.dumps(request)
        return "\t".join(f"{name}={encode_value(value)}" for name, value in request.items() if name != "stays")

    def decode(self, line, request):
        answer = json.loads(line)
        if not self.python and "value" in answer:
            answer["value"] = decode_value(answer["value"])
            if request["op"] == "list":
                answer["value"].sort()
        return answer

    def ask(self, request):
        self.process.stdin.write(self.encode(request) + "\n")
        self.process.stdin.flush()
        if not select.select([self.process.stdout], [], [], 100)[0]:
            self.process.kill()
            raise RuntimeError(f"no answer within 20 s to {request}")
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process in the session ended: {self.process.wait()}")
        return self.decode(line, request)

    def close(self):
        self.process.stdin.close()
        return self.process.wait()


class Comparison:
    def __init__(self, world, session, agents, seed):
        self.world, self.session, self.agents = world, session, agents
        self.random = random.Random(seed * 7 + 1)
        self.recent = []
        self.asked = self.different = self.succeeded = 0
        self.counts = {}
        self.log = []
        self.links = self.links_above()

    def links_above(self):
        """Symlinks of the host that lead to a directory which the table has names in."""
        above, found = {p.rsplit("/", 1)[0] for p in self.session.table}, []
        for directory, folders, files in os.walk(f"{self.world.base}/h"):
            for link in (f"{directory}/{n}" for n in folders + files if os.path.islink(f"{directory}/{n}")):
                try:
                    where, _ = self.session.walk(expect_root, link)
                except OSError:
                    continue
                if where.name in above:
                    found.append(link)
        return sorted(found)

    # ---- where paths start ----

    def start(self, agent, number):
        """Where a relative path of this process starts: what the kernel says of its cwd or dirfd,
        seen from outside, and the table's inverse."""
        if number in agent.virtual:
            return agent.virtual[number]
        link = "cwd" if number is None else f"fd/{agent.descriptors[number]}"
        return self.session.from_host(os.readlink(f"/proc/{agent.pid}/{link}"))

    def remember(self, agent, number, expected, value):
        if number is not None:
            agent.descriptors[number] = value
        agent.virtual.pop(number, None)
        if expected.where.virtual:
            agent.virtual[number] = self.session.held(expected.where)

    # ---- paths by chance ----

    def path(self, start):
        """A path that leads somewhere more often than chance alone would."""
        chance, choice = self.random.random, self.random.choice
        if self.recent and chance() < .3:
            path = choice(self.recent)
            if chance() < .5:
                return path
            return path + "/" + choice(NAMES + ["..", ".", "", "m0", "z0"])
        where, parts = start, []
        if chance() < .6:
            base = choice([self.world.h] * 3 + [choice(self.world.named)] * 3)
            parts = base.split("/")
            try:
                where, _ = self.session.walk(expect_root, base)
            except OSError:
                where = None
        for _ in range(choice([0, 1, 2, 2, 3, 3, 4, 5])):
            roll = chance()
            name = None
            if roll < .14:
                name = ".."
            elif roll < .2:
                name = choice([".", "", "."])
            elif roll < .25:
                name = choice(NAMES)
            elif where is not None:
                try:
                    known = sorted(set(os.listdir(where.real)) | {p.rsplit("/", 1)[1] for p in self.session.table
                                                                  if p.rsplit("/", 1)[0] == where.name})
                    name = choice(known) if known else ".."
                except OSError:
                    break
            if name is None:
                break
            parts.append(name)
            if where is not None:
                try:
                    where, _ = self.session.walk(where, name or ".")
                except OSError:
                    where = None
        if chance() < .02 and len(parts) > 1:
            parts[-1:-1] = ["."] * choice([130, 260, 2060])
        path = "/".join(parts)
        if chance() < .07:
            path += choice(["/", "//", "/.", "/.."])
        if not path:
            return choice([".", "..", "/", ""]) if chance() < .1 else "."
        if len(path) < 500:
            self.recent = self.recent[-30:] + [path]
        return path

    def request(self, agent, given=None):
        """By chance what is asked; of the path that is given, if one is."""
        chance, choice = self.random.random, self.random.choice
        op = choice(["lstat"] * 4 + ["stat"] * 5 + ["read"] * 5 + ["readlink"] * 2 + ["access"] * 2 + ["list"] * 3 +
                    ["realpath", "fd_name", "getcwd"] + ["chdir"] * 2 + ["directory"] * 2 + ["open"] * 3 +
                    ["mkdir", "symlink", "unlink", "rmdir", "chmod"] + ["rename"] * 3 + ["link"] + ["move"] * 3)
        request = {"op": op, "how": choice([0, 0, 1, 2])}
        if op == "move":
            return self.move()
        if op == "getcwd":
            return request
        if op not in ("chdir", "realpath") and not given and agent.descriptors and chance() < .3:
            request["at"] = choice(sorted(agent.descriptors))
        start = self.start(agent, request.get("at"))
        request["path"] = given or self.path(start)
        if op == "directory":
            request["number"] = self.random.randrange(4)
        if op == "access":
            request["mode"] = choice([os.F_OK, os.R_OK, os.W_OK, os.X_OK])
        if op == "chmod":
            request["mode"] = choice([0o700, 0o755, 0o640, 0o600])
        if op == "symlink":
            request["text"] = self.world.text(f"{self.world.h}/p")
        if op == "open":
            request["flags"] = choice([
                os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_NOFOLLOW, os.O_RDONLY | os.O_DIRECTORY,
                os.O_RDONLY | os.O_CREAT, os.O_WRONLY | os.O_CREAT, os.O_RDWR | os.O_CREAT | os.O_EXCL,
                os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW])
        if op in ("read", "open") and request["how"] == 2 and chance() < .7:
            request["resolve"] = choice(RESTRICTIONS)
        if op in ("rename", "link"):
            if agent.descriptors and chance() < .3:
                request["at2"] = choice(sorted(agent.descriptors))
            request["path2"] = self.path(self.start(agent, request.get("at2")))
            if chance() < .4:
                request["path2"] = request["path2"].rstrip("/") + "/" + choice(NAMES + ["new"])
            if op == "rename" and chance() < .2:
                request["flags"] = choice([1, RENAME_EXCHANGE])
        return request

    def move(self, name=None):
        """A change that stays: what lies behind a name that others go through."""
        chance, choice = self.random.random, self.random.choice
        name = name or choice(self.world.moving)
        if chance() < .4:
            return {"op": "rename", "path": name, "path2": choice(self.world.moving),
                    "flags": RENAME_EXCHANGE if chance() < .5 else 0, "stays": True}
        if os.path.islink(self.session.find(name).real):
            return {"op": "unlink", "path": name, "stays": True}
        return {"op": "symlink", "path": name, "text": self.world.text(os.path.dirname(name)), "stays": True}

    # ---- one query ----

    def safe(self, expected):
        """Whether the change leaves alone what the world needs where it is."""
        for moved in expected.moved:
            if any((fixed + "/").startswith(moved + "/") for fixed in self.world.fixed):
                return False
            if not moved.startswith(self.world.h + "/"):
                return False
        return True

    def harmless(self, request, agent):
        """Whether what it may change is this test's own."""
        if request["op"] not in CHANGES:
            return True
        for path, at in (("path", "at"), ("path2", "at2")):
            if path not in request:
                continue
            start = self.start(agent, request.get(at))
            try:
                self.session.restrict(request.get("resolve", 0), start)
                parent = self.session.walk(start, request[path], parent=True)
            except OSError:
                continue
            finally:
                self.session.restrict(0, None)
            if not parent.where.virtual and not (parent.where.real + "/").startswith(self.world.h + "/"):
                return False
            if not self.session.is_found(parent.where):
                return False  # it can't be taken back by a name
        return True

    def is_outside(self, start, path, follow=True, name=False):
        """Whether a confined program may not change it; or not its name. Raises what a walk does."""
        where, _ = self.session.walk(start, path, follow)
        return not where.virtual and not (where.real + ("" if name else "/")).startswith(self.world.base + "/")

    def is_held_bare(self, request, agent, start):
        """Whether a program without the shim asks fstat of a virtual folder: that call is the
        kernel's own, which knows the placeholder only."""
        if agent.python or request["op"] not in ("read", "open") and request.get("how") != 2:
            return False
        try:
            where, _ = self.session.walk(start, request["path"], request["op"] != "lstat")
            return where.virtual and os.path.isdir(where.real)
        except (OSError, KeyError):
            return False

    def expected(self, request, agent):
        start = self.start(agent, request.get("at"))
        if start.real.endswith(" (deleted)"):
            raise expect.Untold  # only the kernel knows what is in there
        try:
            self.session.restrict(request.get("resolve", 0), start)
            return self.expected_here(request, agent, start)
        finally:
            self.session.restrict(0, None)

    def expected_here(self, request, agent, start):
        if self.is_held_bare(request, agent, start):
            raise expect.Untold
        self.session.met_node = start.virtual
        if request["op"] in expect.two_paths:
            if max(len(os.fsencode(request[path])) for path in ("path", "path2")) >= PATH_MAX:
                raise expect.Untold  # which of two errors comes first
            if self.confined and request["op"] == "link" and \
               self.is_outside(start, request["path"], follow=False, name=True):
                raise expect.Untold  # Landlock speaks before it is seen what is to be linked
            return expect.two_paths[request["op"]](self.session, request, start,
                                                   self.start(agent, request.get("at2")))
        if self.confined and request["op"] == "access" and request["mode"] & os.W_OK:
            if self.is_outside(start, request["path"]):
                expect.fail(errno.EACCES, errno.EROFS)  # what may be written is said by the policy
        return expect.one_path[request["op"]](self.session, request, start)

    def burst(self):
        """What was just asked for is asked for again, after another one changed the way there."""
        agent, name = self.random.choice(self.agents), self.random.choice(self.world.moving)
        path = name
        try:
            where, _ = self.session.walk(expect_root, name)
            for _ in range(self.random.randint(0, 2)):
                known = sorted(os.listdir(where.real)) or NAMES
                path += "/" + self.random.choice(known)
                where, _ = self.session.walk(expect_root, path)
        except OSError:
            path += "/" + self.random.choice(NAMES)
        op = self.random.choice(["stat", "read", "list", "access", "readlink", "lstat", "chdir"])
        request = {"op": op, "how": self.random.choice([0, 1, 2]), "path": path, "mode": os.F_OK}
        self.query(agent, dict(request))
        for _ in range(self.random.randint(1, 2)):
            self.query(self.random.choice(self.agents), self.move(name))
            self.query(agent, dict(request))

    def neighbours(self):
        """Several names behind one way, one soon after the other: what the first tells of the way
        must not be taken for what the table has there."""
        agent, choice = self.random.choice(self.agents), self.random.choice
        start = self.start(agent, None)
        way = choice(self.links) if self.links and self.random.random() < .7 else self.path(start)
        known, named = NAMES, NAMES
        try:
            where, _ = self.session.walk(start, way)
            known = sorted(os.listdir(where.real)) or NAMES
            named = sorted(p.rsplit("/", 1)[1] for p in self.session.table if p.rsplit("/", 1)[0] == where.name)
        except OSError:
            pass
        for _ in range(self.random.randint(2, 6)):
            path = way + choice(["/", "/", "/", "/./"]) + choice(named if named and self.random.random() < .5 else known)
            if self.random.random() < .3:
                path = choice([way, way + "/", path + "/", path + "/" + choice(NAMES), path + "/.."])
            if way[:1] != "/" and self.start(agent, None).name != start.name:
                break
            self.query(agent, self.request(agent, path))
            if self.random.random() < .1:
                agent = choice(self.agents)

    def ask(self, agent, request):
        """A rename somewhere on the machine is enough for an EAGAIN of who would not leave a folder."""
        for _ in range(50):
            answer = agent.ask(request)
            if answer.get("error") != errno.EAGAIN or not request.get("resolve", 0) & (BENEATH | IN_ROOT):
                break
        return answer

    def query(self, agent, request=None):
        request = request or self.request(agent)
        expected, wanted, also = None, 0, ()
        if not self.harmless(request, agent):
            return
        try:
            expected = self.expected(request, agent)
        except expect.Untold:
            return
        except OSError as error:
            wanted, also = error.errno, getattr(error, "also", ())
        if expected is not None and (not self.safe(expected) or (expected.undo is None and not request.get("stays"))):
            return
        self.asked += 1
        counted = self.counts.setdefault(request["op"], [0, 0])
        counted[wanted != 0] += 1
        began = time.time()
        answer = self.ask(agent, request)
        self.log = self.log[-12:] + [(self.agents.index(agent), request, answer)]
        got = answer.get("error", 0)
        if wanted in (errno.ENOENT, errno.ENOTDIR) and request.get("path", "").rstrip("/").rsplit("/", 1)[-1] in (".", ".."):
            # No name to begin with, before what should hold it is found wanting.
            also += (errno.EEXIST, errno.EISDIR, errno.EINVAL, errno.ENOTEMPTY, errno.EBUSY)
        changes = request["op"] in CHANGES and request.get("flags", os.O_CREAT) != os.O_RDONLY
        if wanted and changes and self.session.met_node:
            # Nothing can be changed in a node: that it fails is what matters.
            also += expect.REFUSALS
        if request.get("resolve", 0) & CACHED:
            also = (*also, errno.EAGAIN)
        if got != wanted and got not in also:
            self.differs(agent, request, f"{name_of(got)}, wanted {name_of(wanted)}", answer)
            if got == 0:
                self.repair(request, answer)
            return
        if wanted or got:
            return
        wrong = expected.check(answer["value"]) or (expected.effect() if expected.effect else None)
        if wrong:
            self.differs(agent, request, wrong, answer)
        if expected.where is not None:
            self.remember(agent, request.get("number"), expected, answer["value"])
        if not request.get("stays"):
            for undo in expected.undo or ():
                undone = self.random.choice(self.agents).ask(undo)
                if "error" in undone:
                    self.differs(agent, request, f"taking it back: {undo}: {name_of(undone['error'])}", undone)

    def repair(self, request, answer):
        """A call that should have failed: what it changed is not known. Go on from a sound place."""
        if request["op"] in ("chdir", "directory"):
            raise Lost
        if request["op"] in CHANGES:
            raise Lost

    def explain(self, start, path):
        """The reference's steps."""
        steps, where = [], Where(expect_root.mount) if path.startswith("/") else start
        for part in [p for p in path.split("/") if p not in ("", ".")][:40]:
            try:
                found, text = (self.session.up(where), None) if part == ".." else self.session.look(where, part)
                steps.append(f"{part}: {found.real}" + (f" -> {text}" if text is not None else ""))
                where = found if text is None else self.session.walk(where, part)[0]
            except OSError as error:
                steps.append(f"{part}: {name_of(error.errno)}")
                break
        return "\n#     ".join(steps)

    def differs(self, agent, request, what, answer):
        self.different += 1
        start = self.start(agent, request.get("at"))
        print(f"# {json.dumps(request)}\n#   {what}; it said {json.dumps(answer)[:300]}")
        print(f"#   process {self.agents.index(agent)}, start {start.name!r} ({start.real!r})")
        print(f"#     {self.explain(start, request.get('path', ''))}", flush=True)
        if "path2" in request:
            print(f"#     and\n#     {self.explain(self.start(agent, request.get('at2')), request['path2'])}")

    def run(self, queries):
        while self.asked < queries and self.different < 10:
            if self.random.random() < .3:
                self.burst()
            if self.random.random() < .4:
                self.neighbours()
            # One process asks a while, then the other: what the first knows gets old.
            agent = self.random.choice(self.agents)
            for _ in range(self.random.randint(1, 12)):
                self.query(agent)


class Lost(Exception):
    """The tree is not what it should be any more."""


expect_root = Session([], {}).find("")


def name_of(number):
    return errno.errorcode.get(number, str(number)) if number else "success"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("directory")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--native", action="store_true")
    parser.add_argument("--no-shadows", action="store_true")
    parser.add_argument("--no-translators", action="store_true")
    parser.add_argument("--agents", default="python,python")
    parser.add_argument("--around", help="a session in which the agents' own one is joined")
    parser.add_argument("--confine", action="store_true", help="the agents may do as they like in DIRECTORY, and read")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()

    base = os.path.realpath(options.directory) + f"/w{options.seed}"
    os.makedirs(base)
    world = World(base, options.seed, not options.no_shadows and not options.native)
    world.make(not options.native and not options.no_translators)
    records, entries, command, name = {}, [], [], f"w{options.seed}"
    if not options.native:
        entries = world.entries
        subprocess.run(["hirsel", "start", name], check=True)
        command = ["hirsel", "run", "--session", name, "--"]
        if options.confine:
            programs = [who for who in options.agents.split(",") if who != "python"]
            command[-1:] = ["--confine", "--allow-write", base, "--allow-read", "/",
                            *(f"--allow-exec={program}" for program in programs), "--"]
        if options.around:
            command = ["hirsel", "run", "--session", options.around, "--"] + command
        for words in world.commands:
            subprocess.run(["hirsel", words[0], "--session", name] + words[1:], check=True)
        for path, tree, active in world.nodes:
            if not active:
                records[os.readlink(Session(entries, {}).find(path).real)] = tree
    world.named = [e.path for e in entries] + [n[0] for n in world.nodes] + world.moving
    session = Session(entries, records, world.base)
    agents = [Agent(command, world.h, who) for who in options.agents.split(",")]
    comparison = Comparison(world, session, agents, options.seed)
    comparison.confined = session.confined = options.confine
    began = time.monotonic()
    try:
        for agent in agents:
            agent.pid = int(agent.ask({"op": "pid"})["value"])
        comparison.run(options.queries)
    except Lost:
        pass
    finally:
        for agent in agents:
            agent.close()
        if not options.native:
            subprocess.run(["hirsel", "stop", name], check=True)
    good = sum(c[0] for c in comparison.counts.values())
    print(f"# seed {options.seed}: {comparison.asked} queries, {good} succeeded, {comparison.different} differ, "
          f"{time.monotonic() - began:.1f} s")
    if options.keep:
        print("#", comparison.counts)
    elif not comparison.different:
        subprocess.run(["chmod", "-R", "u+rwX", base], check=True)
        shutil.rmtree(base)
    sys.exit(comparison.different > 0 or comparison.asked < options.queries)


if __name__ == "__main__":
    main()
