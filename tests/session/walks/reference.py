"""The slow reference walk: what a path means in a session, worked out from outside of it, one
component at a time, with the table applied as the kernel applies a mount table.

Where a walk stands is a mount and the components below it, as in the kernel: not, as in the
shim, a name and a host path. Nothing here is shared with the shim but the manual pages."""
import errno
import os
import stat

PATH_MAX, LINKS_MAX = 4096, 40
# openat2's restrictions.
NO_XDEV, NO_MAGICLINKS, NO_SYMLINKS, BENEATH, IN_ROOT, CACHED = 1, 2, 4, 8, 16, 32



class Failed(OSError):
    also = ()


class Untold(OSError):
    """Nobody outside can say what this gives."""


def fail(number, *also):
    """`also`: other errors that hold as well, and of which the kernel's order is no promise."""
    failed = Failed(number, os.strerror(number))
    failed.also = also
    raise failed


def too_many_links(text):
    """A forged record is one symlink too many to the kernel, and none to the session."""
    fail(errno.ELOOP, *([errno.ENOENT] if text.startswith("/.hirsel/") else []))


def mount_number(path):
    """Which of the host's mounts this is on."""
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    try:
        with open(f"/proc/self/fdinfo/{descriptor}") as file:
            return next(line for line in file if line.startswith("mnt_id:"))
    finally:
        os.close(descriptor)


class Entry:
    """A row of the table, or a node that is a record on the host. As a mount: what is at `path`
    in the session is `tree` on the host (for a node: the tree its archive was made of)."""

    def __init__(self, kind, path, tree="", read_only=False, text="", above=None):
        self.kind, self.path, self.tree, self.read_only = kind, path, tree, read_only
        self.text = text  # of a symlink
        self.above = above  # of a record: where it was met

    def __eq__(self, other):
        return isinstance(other, Entry) and (self.kind, self.path, self.tree) == (other.kind, other.path, other.tree)

    def __hash__(self):
        return hash((self.kind, self.path))


ROOT = Entry("root", "")


class Where:
    __slots__ = ("mount", "rest")

    def __init__(self, mount, rest=()):
        self.mount, self.rest = mount, rest

    @property
    def name(self):
        return "/".join((self.mount.path,) + self.rest)

    @property
    def real(self):
        """A path on the host that shows what is here."""
        return "/".join((self.mount.tree,) + self.rest) or "/"

    @property
    def virtual(self):
        return self.mount.kind == "node"

    def status(self):
        return os.lstat(self.real)


class Parent:
    """The end of a walk to a last component that is to be made, removed or renamed."""

    def __init__(self, where, last, slash, links):
        self.where, self.last, self.slash, self.links = where, last, slash, links

    @property
    def normal(self):
        return self.last not in ("", ".", "..")

    @property
    def name(self):
        return f"{self.where.name}/{self.last}"


class Session:
    def __init__(self, entries, records, base=""):
        self.table = {e.path: e for e in entries}
        self.base = base  # what is outside of it changes while it is compared
        self.records = records  # the text of a node's symlink -> the tree of its archive
        self.links = 0  # that a walk followed
        self.met_node = False  # whether a walk went through a node
        self.confined = False  # whether other processes are out of sight
        self.restrict(0, None)

    # ---- openat2's restrictions ----

    def restrict(self, resolve, start):
        """Of all walks from now on, which belong to a call that starts here."""
        if resolve & BENEATH and resolve & IN_ROOT or resolve >= 2 * CACHED:
            fail(errno.EINVAL)
        self.resolve, self.start = resolve, start
        # Whether the kernel has looked for the root in this call: while it has not, an absolute symlink
        # is another mount's to it.
        self.rooted = resolve & (BENEATH | IN_ROOT) != 0

    def cross(self, where, found):
        """From one place to the next."""
        if not self.resolve & NO_XDEV:
            return
        if where.mount != found.mount or not where.virtual and mount_number(where.real) != mount_number(found.real):
            fail(errno.EXDEV)

    def root(self, where, by_link):
        """What "/" at the beginning of a path, or of a symlink's text that was met here, leads to."""
        if self.resolve & BENEATH:
            fail(errno.EXDEV)
        if self.resolve & IN_ROOT:
            return self.start
        if by_link and self.resolve & NO_XDEV and not self.rooted:
            fail(errno.EXDEV)
        if by_link:
            self.cross(where, Where(ROOT))
        self.rooted = True
        return Where(ROOT)

    def follow(self, text):
        if self.resolve and text.startswith("/.hirsel/"):
            fail(errno.ENOENT, errno.ELOOP, errno.EXDEV)  # a forged record: that it fails is what matters
        if self.resolve & NO_SYMLINKS:
            fail(errno.ELOOP)

    # ---- the table ----

    def find(self, name):
        """Where an absolute name without symlinks is."""
        parts = name.split("/")[1:]
        for count in range(len(parts), -1, -1):
            entry = self.table.get("".join("/" + p for p in parts[:count]))
            if entry is not None and entry.kind in ("bind", "node"):
                return Where(entry, tuple(parts[count:]))
        return Where(ROOT, tuple(parts))

    def from_host(self, host):
        """Where a host path is in the session: a bind's name is preferred over its target's, the
        bind with the longest target, of these the first by name."""
        best = None
        for _, entry in sorted(self.table.items()):
            if entry.kind == "bind" and (host + "/").startswith(entry.tree + "/"):
                if best is None or len(entry.tree) > len(best.tree):
                    best = entry
        if best is None:
            return Where(ROOT, tuple(p for p in host.split("/")[1:] if p))
        return Where(best, tuple(p for p in host[len(best.tree):].split("/")[1:] if p))

    def is_found(self, where):
        """Whether its name leads here: not where it was hidden or bound over."""
        try:
            return self.walk(Where(ROOT), where.name or "/")[0].real == where.real
        except OSError:
            return False

    def has_below(self, name):
        return any(p.startswith(name + "/") for p in self.table)

    def held(self, where):
        """As a descriptor remembers it: by its place on the host, or in its node."""
        if not where.virtual:
            return self.from_host(where.real)
        mount = where.mount
        if mount.above is None:
            return where
        # A record's own name follows from the host's name of its symlink.
        above = self.from_host(mount.above.real)
        path = f"{above.name}/{mount.path.rsplit('/', 1)[1]}"
        return Where(Entry("node", path, mount.tree, True, above=above), where.rest)

    def refuse(self, where):
        """Fail where nothing can be changed."""
        if where.mount.read_only:
            fail(errno.EROFS)

    # ---- one component ----

    def up(self, where):
        if where.rest:
            return Where(where.mount, where.rest[:-1])
        if where.mount is ROOT:
            return where
        if where.mount.above is not None:
            return where.mount.above
        return self.find(where.mount.path.rsplit("/", 1)[0])

    def record(self, where):
        """The node that a symlink of the host is, or None."""
        tree = None if where.virtual else self.records.get(os.readlink(where.real))
        if tree is None:
            return None
        return Where(Entry("node", where.name, tree, True, above=self.up(where)))

    def look(self, where, name):
        """What is called `name` here, not followed: (Where, symlink's text or None)."""
        path = f"{where.name}/{name}"
        if self.confined and where.real == "/proc" and name.isdigit():
            raise Untold
        entry = self.table.get(path)
        if entry is not None:
            if entry.kind == "hide":
                fail(errno.ENOENT)
            if entry.kind == "symlink":
                return Where(where.mount, where.rest + (name,)), entry.text
            return Where(entry), None
        found = Where(where.mount, where.rest + (name,))
        status = found.status()
        if not stat.S_ISLNK(status.st_mode):
            return found, None
        if found.real.startswith("/proc/"):
            raise Untold  # procfs tells each process another thing
        node = self.record(found)
        return (found, os.readlink(found.real)) if node is None else (node, None)

    def enter(self, where):
        """A component is looked up in here."""
        self.met_node = self.met_node or where.virtual
        if not stat.S_ISDIR(where.status().st_mode):
            fail(errno.ENOTDIR)
        if not os.access(where.real, os.X_OK):
            fail(errno.EACCES)

    # ---- the walk ----

    def walk(self, start, path, follow=True, parent=False, links=0):
        """(Where, text) with parent=False: text is that of a symlink which was not followed.
        With parent=True: Parent."""
        if path == "":
            fail(errno.ENOENT)
        if len(os.fsencode(path)) >= PATH_MAX:
            fail(errno.ENAMETOOLONG)
        where = self.root(start, links > 0) if path[0] == "/" else start
        rest = path
        while True:
            rest = rest.lstrip("/")
            if rest == "":
                return Parent(where, "", False, links) if parent else (where, None)
            name, slash, rest = rest.partition("/")
            rest = slash + rest
            last = rest.strip("/") == ""
            self.enter(where)
            if parent and last:
                return Parent(where, name, slash != "", links)
            if name == ".":
                continue
            if name == "..":
                self.rooted = True
                if self.resolve & (BENEATH | IN_ROOT) and where.name == self.start.name:
                    if self.resolve & BENEATH:
                        # The kernel walks twice to be sure, and counts the symlinks of both.
                        fail(errno.EXDEV, *([errno.ELOOP] if 2 * links >= LINKS_MAX else []))
                    continue
                above = self.up(where)
                self.cross(where, above)
                where = above
                continue
            if len(os.fsencode(name)) > 255:
                fail(errno.ENAMETOOLONG)
            found, text = self.look(where, name)
            self.met_node = self.met_node or found.virtual
            if text is None:
                self.cross(where, found)
            if text is None:
                if slash and not stat.S_ISDIR(found.status().st_mode):
                    fail(errno.ENOTDIR)
                where = found
                continue
            if last and not slash and not follow:
                return found, text
            links += 1
            self.links = links
            if links > LINKS_MAX:
                too_many_links(text)
            self.follow(text)
            if text[0] == "/":
                where = self.root(where, True)
            rest = text + rest

    # ---- what calls give ----

    def identity(self, where, text=None):
        """What a stat of it must say."""
        entry = self.table.get(where.name) if text is not None else None
        if entry is not None and entry.kind == "symlink":
            return {"mode": stat.S_IFLNK | 0o777, "size": len(os.fsencode(text))}
        status = where.status()
        said = {"mode": status.st_mode, "modified": int(status.st_mtime)}
        if where.virtual and not where.rest:
            del said["modified"]  # an archive need not say of its own root
        if not stat.S_ISDIR(status.st_mode):
            said |= {"size": status.st_size, "links": status.st_nlink}
        if not where.virtual:
            said |= {"device": status.st_dev, "inode": status.st_ino, "size": status.st_size, "links": status.st_nlink}
        if not where.virtual and not (where.real + "/").startswith(self.base + "/"):
            for changing in ("modified", "size", "links"):
                said.pop(changing, None)
        return said

    def names(self, where):
        """What a listing of this directory shows: {name: type}."""
        where = self.held(where)
        found = set(os.listdir(where.real))
        for path, entry in self.table.items():
            above, _, name = path.rpartition("/")
            if above == where.name:
                (found.discard if entry.kind == "hide" else found.add)(name)
        return {name: self.kind(where, name) for name in found}

    def kind(self, where, name):
        if not os.access(where.real, os.X_OK):
            # Readable and no more: the listing itself says what they are.
            mode = {e.name: "l" if e.is_symlink() else "d" if e.is_dir(follow_symlinks=False) else "f"
                    for e in os.scandir(where.real)}
            return mode[name]
        found, text = self.look(where, name)
        return "l" if text is not None else "d" if stat.S_ISDIR(found.status().st_mode) else "f"
