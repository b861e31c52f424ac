"""What each call must give, by the reference walk and by what the kernel does with mounts.

Each function takes the reference session, a request and where its paths start, and returns an
Expected, or raises OSError with the errno that the call must fail with."""
import errno
import os
import stat

from reference import LINKS_MAX, PATH_MAX, Untold, Where, fail, too_many_links

RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2


REFUSALS = (errno.EXDEV, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.EBUSY,
            errno.EPERM, errno.EACCES, errno.ELOOP, errno.EINVAL, errno.ENOTEMPTY)


class Expected:
    """`check(value)` says what is wrong with an answer, or nothing. `undo`: requests that take
    back what the call did. `effect()` says what is wrong with the host after it, or nothing.
    `where`: for chdir and dirfds."""

    def __init__(self, check=None, undo=(), effect=None, where=None, moved=()):
        self.check, self.undo, self.effect, self.where = check or (lambda value: None), undo, effect, where
        self.moved = moved  # host paths that it moves, removes or makes


def same(wanted):
    return lambda value: None if value == wanted else f"wanted {wanted!r}"


def identified(wanted):
    def check(got):
        mode, device, inode, size, modified, links = got
        said = {"mode": mode, "device": device, "inode": inode, "size": size, "modified": modified, "links": links}
        wrong = [f"{k} {said[k]}, wanted {wanted[k]}" for k in wanted if said[k] != wanted[k]]
        return "; ".join(wrong) or None
    return check


def is_directory(where):
    return stat.S_ISDIR(where.status().st_mode)


def lstat(session, request, start):
    where, text = session.walk(start, request["path"], follow=False)
    if text is not None and where.name in session.table and request.get("how") == 2:
        raise Untold  # a symlink of the table can't be opened itself
    return Expected(identified(session.identity(where, text)))


def status(session, request, start):
    where, _ = session.walk(start, request["path"])
    return Expected(identified(session.identity(where)))


def read(session, request, start):
    where, _ = session.walk(start, request["path"])
    wanted = session.identity(where)
    if not os.access(where.real, os.R_OK):
        fail(errno.EACCES)
    text = ""
    if not is_directory(where):
        with open(where.real, "rb") as file:
            text = os.fsdecode(file.read(4096))

    def check(value):
        wrong = identified(wanted)(value[0])
        # What procfs says changes while it is said.
        return wrong or (None if value[1] == text or where.real.startswith("/proc/") else f"wanted the content {text!r}")
    return Expected(check)


def fd_name(session, request, start):
    where, _ = session.walk(start, request["path"])
    return Expected(same(session.held(where).name or "/"))


def realpath(session, request, start):
    if len(os.fsencode(request["path"])) >= PATH_MAX:
        raise Untold
    if request["path"][:1] != "/" and not session.is_found(start):
        raise Untold  # libc asks for the whole name, which is something else's by now
    session.links = 0
    try:
        where, _ = session.walk(start, request["path"])
    except OSError as error:
        if error.errno == errno.EACCES:
            raise Untold from None  # libc does not ask for ".."
        raise
    if session.links == LINKS_MAX:
        raise Untold  # musl follows one less
    return Expected(same(where.name or "/"))


def readlink(session, request, start):
    where, text = session.walk(start, request["path"], follow=False)
    if text is None:
        fail(errno.EINVAL)
    return Expected(same(text))


def access(session, request, start):
    where, _ = session.walk(start, request["path"])
    if where.virtual and not where.rest and request["mode"] & os.W_OK:
        raise Untold  # before it runs, nobody knows that a translator lets nothing be written
    if request["mode"] & os.W_OK:
        session.refuse(where)
    if not os.access(where.real, request["mode"]):
        read_only = os.statvfs(where.real).f_flag & os.ST_RDONLY
        fail(errno.EACCES, errno.EPERM, *([errno.EROFS] if read_only and request["mode"] & os.W_OK else []))
    return Expected()


def listing(session, request, start):
    where, _ = session.walk(start, request["path"])
    if not is_directory(where):
        fail(errno.ENOTDIR)
    if not os.access(where.real, os.R_OK):
        fail(errno.EACCES)
    if os.stat(where.real).st_uid != os.getuid():
        raise Untold  # others may make names there meanwhile
    return Expected(same(sorted([n, t] for n, t in session.names(where).items())))


def directory(session, request, start):
    """chdir, and a dirfd to keep."""
    where, _ = session.walk(start, request["path"])
    if not is_directory(where):
        fail(errno.ENOTDIR)
    if request["op"] == "chdir" and not os.access(where.real, os.X_OK):
        fail(errno.EACCES)
    if request["op"] == "directory" and request["how"] != 1 and not os.access(where.real, os.R_OK):
        fail(errno.EACCES)
    return Expected(where=where)


def getcwd(session, request, start):
    name = start.name or "/"
    wanted = session.identity(start)

    def check(value):
        return same(name)(value[0]) or identified(wanted)(value[1]) or same(name)(value[2])
    return Expected(check)


# ---- changes ----

def child(session, parent):
    """What a last component names, not followed: (Where or None, its entry, a record?)."""
    entry = session.table.get(parent.name)
    if entry is not None and entry.kind in ("hide", "symlink"):
        return None, entry
    if entry is not None:
        return Where(entry), entry
    if len(os.fsencode(parent.last)) > 255:
        fail(errno.ENAMETOOLONG)
    found = Where(parent.where.mount, parent.where.rest + (parent.last,))
    try:
        found.status()
    except FileNotFoundError:
        return None, None
    return found, None


def writable(where):
    if not os.access(where.real, os.W_OK | os.X_OK):
        fail(errno.EACCES)


def create(session, start, path, slash_is_good):
    """The kernel's filename_create."""
    parent = session.walk(start, path, parent=True)
    if not parent.normal:
        fail(errno.EEXIST)
    found, entry = child(session, parent)
    if found is not None or (entry is not None and entry.kind == "symlink"):
        fail(errno.EEXIST)
    if parent.slash and not slash_is_good:
        fail(errno.ENOENT, *([errno.EPERM] if entry else []), *([errno.EROFS] if parent.where.mount.read_only else []))
    session.refuse(parent.where)
    if entry is not None:
        fail(errno.EPERM, errno.EXDEV)  # hidden: nothing can be made there
    writable(parent.where)
    return parent


def real_child(parent):
    return f"{parent.where.real}/{parent.last}"


def exists(path, test):
    return lambda: None if os.path.lexists(path) and test(path) else f"the host has no such {path}"


def mkdir(session, request, start):
    parent = create(session, start, request["path"], True)
    return Expected(undo=[{"op": "rmdir", "path": parent.name}], effect=exists(real_child(parent), os.path.isdir))


def symlink(session, request, start):
    parent = create(session, start, request["path"], False)
    return Expected(undo=[{"op": "unlink", "path": parent.name}], effect=exists(real_child(parent), os.path.islink))


def gone(path):
    return lambda: f"the host still has {path}" if os.path.lexists(path) else None


def unlink(session, request, start):
    parent = session.walk(start, request["path"], parent=True)
    if not parent.normal:
        fail(errno.EISDIR)
    session.refuse(parent.where)
    found, entry = child(session, parent)
    if entry is not None and entry.kind == "symlink":
        fail(errno.ENOTDIR if parent.slash else errno.EBUSY, errno.EBUSY)
    if found is None:
        fail(errno.ENOENT)
    mode = found.status().st_mode
    if parent.slash:
        fail(errno.EISDIR if stat.S_ISDIR(mode) else errno.ENOTDIR, *([errno.EBUSY] if entry else []))
    writable(parent.where)
    if stat.S_ISDIR(mode):
        fail(errno.EISDIR)
    if entry is not None:
        fail(errno.EBUSY)
    path = found.real
    if stat.S_ISLNK(mode):
        again = {"op": "symlink", "path": parent.name, "text": os.readlink(path)}
    elif not stat.S_ISREG(mode):
        raise Untold
    else:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            again = {"op": "make", "path": parent.name, "text": file.read()}
    return Expected(undo=[again], effect=gone(path), moved=[path])


def rmdir(session, request, start):
    parent = session.walk(start, request["path"], parent=True)
    if not parent.normal:
        fail({".": errno.EINVAL, "..": errno.ENOTEMPTY, "": errno.EBUSY}[parent.last])
    session.refuse(parent.where)
    found, entry = child(session, parent)
    if entry is not None and entry.kind == "symlink":
        fail(errno.ENOTDIR)
    if found is None:
        fail(errno.ENOENT)
    writable(parent.where)
    if not is_directory(found):
        fail(errno.ENOTDIR)
    if entry is not None or session.has_below(parent.name):
        fail(errno.EBUSY, errno.ENOTEMPTY)
    if os.listdir(found.real):
        fail(errno.ENOTEMPTY)
    return Expected(undo=[{"op": "mkdir", "path": parent.name}], effect=gone(found.real), moved=[found.real])


def chmod(session, request, start):
    where, _ = session.walk(start, request["path"])
    session.refuse(where)
    mode = stat.S_IMODE(where.status().st_mode)
    return Expected(undo=[{"op": "chmod", "path": where.name, "mode": mode}], moved=[where.real],
                    effect=lambda: None if stat.S_IMODE(where.status().st_mode) == request["mode"] else "no change")


def open_file(session, request, start):
    flags, path, links = request["flags"], request["path"], 0
    follow = not flags & os.O_NOFOLLOW and flags & (os.O_CREAT | os.O_EXCL) != os.O_CREAT | os.O_EXCL
    writes = flags & os.O_ACCMODE != os.O_RDONLY
    made = None
    if flags & os.O_CREAT:
        where, made = open_create(session, start, path, follow, flags)
    else:
        where, text = session.walk(start, path, follow)
        if text is not None:
            fail(errno.ELOOP)
    if made is not None:
        return Expected(undo=[{"op": "unlink", "path": made.name}], effect=exists(real_child(made), os.path.isfile),
                        moved=[real_child(made)])
    if is_directory(where):
        if writes or flags & os.O_CREAT:
            fail(errno.EISDIR)
    elif flags & os.O_DIRECTORY:
        fail(errno.ENOTDIR)
    if not os.access(where.real, os.W_OK if writes else os.R_OK):
        fail(errno.EACCES)
    if writes:
        session.refuse(where)
    return Expected(identified(session.identity(where)))


def open_create(session, start, path, follow, flags):
    """What O_CREAT finds: (Where, None), or (None, Parent) of what it makes."""
    links = 0
    while True:
        parent = session.walk(start, path, parent=True, links=links)
        if not parent.normal:
            session.walk(start, path, links=links)
            fail(errno.EEXIST if flags & os.O_EXCL else errno.EISDIR)
        if parent.slash:
            fail(errno.EISDIR, errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.EPERM, errno.EEXIST,
                 errno.EROFS, *([errno.EXDEV] if session.resolve else []))
        found, entry = child(session, parent)
        text = None
        if entry is not None and entry.kind == "symlink":
            text = entry.text
        elif found is not None and entry is None:
            found, text = session.look(parent.where, parent.last)
        if found is not None and text is None:
            session.cross(parent.where, found)
        if found is None and text is None:
            session.refuse(parent.where)
            if entry is not None:
                fail(errno.EPERM)
            writable(parent.where)
            return None, parent
        if flags & os.O_EXCL:
            fail(errno.EEXIST)
        if text is None:
            return found, None
        if not follow:
            fail(errno.ELOOP)
        session.follow(text)
        start, path = parent.where, text
        if len(os.fsencode(path)) >= PATH_MAX:
            fail(errno.ENAMETOOLONG)
        links = parent.links + 1
        if links > LINKS_MAX:
            too_many_links(text)


# ---- two paths ----

def with_nodes(function):
    """A failure of a call with two paths: whether one of them leads through a node."""
    def expected(session, request, start, start2):
        session.met_node = start.virtual or start2.virtual
        try:
            return function(session, request, start, start2)
        except OSError:
            for path, at in (("path", start), ("path2", start2)):
                try:
                    session.walk(at, request[path])
                except OSError:
                    pass
            raise
    return expected


def link(session, request, start, start2):
    where, text = session.walk(start, request["path"], follow=False)
    parent = create(session, start2, request["path2"], False)
    if where.mount.above is not None and not where.rest:
        raise Untold  # a record is linked as what it is to the host
    if where.mount != parent.where.mount:
        fail(errno.EXDEV, *([errno.EPERM] if text is not None and where.name in session.table else []))
    if text is not None and where.name in session.table:
        fail(errno.EXDEV, errno.EPERM)  # a symlink of the table has no file
    if is_directory(where):
        fail(errno.EPERM)
    return Expected(undo=[{"op": "unlink", "path": parent.name}],
                    effect=exists(real_child(parent), lambda path: os.path.samestat(os.lstat(path), where.status())))


def rename(session, request, start, start2):
    one = session.walk(start, request["path"], parent=True)
    other = session.walk(start2, request["path2"], parent=True)
    flags = request.get("flags", 0)
    if one.where.mount != other.where.mount:
        fail(errno.EXDEV, *([] if one.normal and other.normal else [errno.EBUSY, errno.EEXIST]))
    # What "." and ".." are in, the kernel knows better; it matters to nobody.
    if not one.normal:
        fail(errno.EBUSY, errno.EXDEV)
    if not other.normal:
        fail(errno.EEXIST if flags & RENAME_NOREPLACE else errno.EBUSY, errno.EXDEV, errno.EBUSY)
    session.refuse(one.where)
    found, entry = child(session, one)
    target, target_entry = child(session, other)
    if found is None and (entry is None or entry.kind == "hide"):
        fail(errno.ENOENT)
    there = target is not None or (target_entry is not None and target_entry.kind == "symlink")
    if flags & RENAME_NOREPLACE and there:
        fail(errno.EEXIST)
    if flags & RENAME_EXCHANGE and not there:
        fail(errno.ENOENT, *([errno.EBUSY] if entry or session.has_below(one.name) else []),
             *([errno.EPERM] if target_entry else []))
    folder = found is not None and is_directory(found)
    target_folder = target is not None and is_directory(target)
    if flags & RENAME_EXCHANGE and other.slash and not target_folder:
        fail(errno.ENOTDIR, *([errno.EBUSY] if entry or target_entry or session.has_below(one.name) else []))
    if not folder and (one.slash or (other.slash and not flags & RENAME_EXCHANGE)):
        fail(errno.ENOTDIR, *([errno.EBUSY, errno.EPERM] if entry or target_entry or session.has_below(other.name)
                             else []))
    if (other.where.name + "/").startswith(one.name + "/"):
        fail(errno.EINVAL, errno.EBUSY)
    if (one.where.name + "/").startswith(other.name + "/"):
        fail(errno.EINVAL if flags & RENAME_EXCHANGE else errno.ENOTEMPTY, errno.EBUSY, errno.EPERM)
    if target_entry is not None and target_entry.kind == "hide":
        fail(errno.EPERM, errno.EBUSY)
    if not entry and not target_entry and found is not None and target is not None and os.path.samestat(found.status(), target.status()):
        if session.has_below(one.name) or session.has_below(other.name):
            raise Untold
        return Expected()
    writable(one.where)
    writable(other.where)
    if there and not flags & RENAME_EXCHANGE and folder != target_folder:
        fail(errno.ENOTDIR if folder else errno.EISDIR, errno.EBUSY)
    if entry is not None or target_entry is not None:
        fail(errno.EBUSY)
    if session.has_below(one.name) or session.has_below(other.name):
        fail(errno.EBUSY)
    if target_folder and not flags & RENAME_EXCHANGE and os.listdir(target.real):
        fail(errno.ENOTEMPTY)
    undo = [{"op": "rename", "path": other.name, "path2": one.name, "flags": flags & RENAME_EXCHANGE}]
    if target is not None and not flags & RENAME_EXCHANGE:
        undo = None  # what it replaced does not come back
    was = found.status()
    return Expected(undo=undo, moved=[found.real] + ([target.real] if target is not None else []),
                    effect=exists(real_child(other), lambda path: os.path.samestat(os.lstat(path), was)))


one_path = {
    "lstat": lstat, "stat": status, "read": read, "fd_name": fd_name, "realpath": realpath, "readlink": readlink,
    "access": access, "list": listing, "chdir": directory, "directory": directory, "getcwd": getcwd,
    "mkdir": mkdir, "symlink": symlink, "unlink": unlink, "rmdir": rmdir, "chmod": chmod, "open": open_file,
}
two_paths = {"link": with_nodes(link), "rename": with_nodes(rename)}
