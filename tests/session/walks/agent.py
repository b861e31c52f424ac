#!/usr/bin/env python3
"""Inside the session: does what a line of JSON on standard input asks, and answers with a line.

Every operation answers {"error": errno} or {"value": …}. It keeps a current directory and a few
open directories between requests; "how" chooses among calls that should mean the same."""
import ctypes
import errno
import json
import os
import stat
import struct
import sys

AT_FDCWD, AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW = -100, 0x1000, 0x100
SYS_OPENAT2 = 437
libc = ctypes.CDLL(None, use_errno=True)
libc.realpath.restype = ctypes.c_char_p
libc.realpath.argtypes = [ctypes.c_char_p, ctypes.c_char_p]

directories = {}


def encode(path):
    return os.fsencode(path)


def called(result):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def place(request, key="at"):
    """The dirfd that a request names, or None."""
    number = request.get(key)
    return None if number is None else directories[number]


def identity(status):
    return [status.st_mode, status.st_dev, status.st_ino, status.st_size, int(status.st_mtime), status.st_nlink]


def statx(directory, path, follow):
    buffer = ctypes.create_string_buffer(256)
    flags = 0 if follow else AT_SYMLINK_NOFOLLOW
    called(libc.statx(AT_FDCWD if directory is None else directory, encode(path), flags, 0x7ff, buffer))
    _, _, _, links, _, _, mode, _, inode, size = struct.unpack_from("<IIQIIIHHQQ", buffer, 0)
    modified, = struct.unpack_from("<q", buffer, 0x70)
    major, minor = struct.unpack_from("<II", buffer, 0x88)
    return [mode, os.makedev(major, minor), inode, size, modified, links]


def do_stat(request, follow):
    directory, path = place(request), request["path"]
    how = request.get("how", 0)
    if how == 1:
        return statx(directory, path, follow)
    if how == 2:
        # An O_PATH descriptor of it, and what fstat says of that.
        flags = os.O_PATH | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
        descriptor = os.open(path, flags, dir_fd=directory)
        try:
            return identity(os.fstat(descriptor))
        finally:
            os.close(descriptor)
    return identity(os.stat(path, dir_fd=directory, follow_symlinks=follow))


def open_wide(request, flags, mode):
    """By openat2."""
    directory = place(request)
    how = struct.pack("<QQQ", flags | os.O_CLOEXEC, mode if flags & os.O_CREAT else 0, request.get("resolve", 0))
    return called(libc.syscall(SYS_OPENAT2, AT_FDCWD if directory is None else directory,
                               encode(request["path"]), how, len(how)))


def do_read(request):
    directory, path = place(request), request["path"]
    if request.get("how") == 1 and directory is None:
        descriptor = called(libc.open(encode(path), os.O_RDONLY | os.O_CLOEXEC))
    elif request.get("how") == 2:
        descriptor = open_wide(request, os.O_RDONLY, 0)
    else:
        descriptor = os.open(path, os.O_RDONLY, dir_fd=directory)
    try:
        status = os.fstat(descriptor)
        text = "" if stat.S_ISDIR(status.st_mode) else os.fsdecode(os.read(descriptor, 4096))
        return [identity(status), text]
    finally:
        os.close(descriptor)


def do_open(request):
    if request.get("how") == 2:
        descriptor = open_wide(request, request["flags"], 0o644)
    else:
        descriptor = os.open(request["path"], request["flags"], 0o644, dir_fd=place(request))
    try:
        return identity(os.fstat(descriptor))
    finally:
        os.close(descriptor)


def do_fd_name(request):
    descriptor = os.open(request["path"], os.O_PATH, dir_fd=place(request))
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def do_access(request):
    directory, path = place(request), request["path"]
    if directory is None and request.get("how") == 1:
        return called(libc.access(encode(path), request["mode"]))
    return called(libc.faccessat(AT_FDCWD if directory is None else directory, encode(path), request["mode"], 0))


def do_list(request):
    descriptor = os.open(request["path"], os.O_RDONLY | os.O_DIRECTORY, dir_fd=place(request))
    try:
        with os.scandir(descriptor) as entries:
            return sorted([e.name, "l" if e.is_symlink() else "d" if e.is_dir(follow_symlinks=False) else "f"]
                          for e in entries)
    finally:
        os.close(descriptor)


def do_chdir(request):
    if request.get("how") == 1:
        descriptor = os.open(request["path"], os.O_PATH | os.O_DIRECTORY)
        os.fchdir(descriptor)
        os.close(descriptor)
    else:
        os.chdir(request["path"])
    return None


def do_getcwd(_request):
    return [os.getcwd(), identity(os.stat(".")), os.readlink("/proc/self/cwd")]


def do_directory(request):
    """Keep a dirfd. O_PATH or not."""
    flags = os.O_DIRECTORY | (os.O_PATH if request.get("how") == 1 else os.O_RDONLY)
    descriptor = os.open(request["path"], flags, dir_fd=place(request))
    number = request["number"]
    if number in directories:
        os.close(directories[number])
    directories[number] = descriptor
    return descriptor


def do_realpath(request):
    ctypes.set_errno(0)
    found = libc.realpath(encode(request["path"]), None)
    if found is None:
        called(-1)
    return os.fsdecode(found)


def do_rename(request):
    flags = request.get("flags", 0)
    one, other = place(request), place(request, "at2")
    if flags or request.get("how") == 1:
        called(libc.renameat2(AT_FDCWD if one is None else one, encode(request["path"]),
                              AT_FDCWD if other is None else other, encode(request["path2"]), flags))
    else:
        os.rename(request["path"], request["path2"], src_dir_fd=one, dst_dir_fd=other)


def do_link(request):
    one, other = place(request), place(request, "at2")
    called(libc.linkat(AT_FDCWD if one is None else one, encode(request["path"]),
                       AT_FDCWD if other is None else other, encode(request["path2"]), 0))


def do_make(request):
    """Make a file again that was unlinked."""
    descriptor = os.open(request["path"], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    os.write(descriptor, encode(request["text"]))
    os.close(descriptor)


operations = {
    "lstat": lambda r: do_stat(r, False),
    "stat": lambda r: do_stat(r, True),
    "read": do_read,
    "open": do_open,
    "fd_name": do_fd_name,
    "readlink": lambda r: os.readlink(r["path"], dir_fd=place(r)),
    "access": do_access,
    "list": do_list,
    "chdir": do_chdir,
    "getcwd": do_getcwd,
    "directory": do_directory,
    "realpath": do_realpath,
    "mkdir": lambda r: os.mkdir(r["path"], dir_fd=place(r)),
    "rmdir": lambda r: os.rmdir(r["path"], dir_fd=place(r)),
    "unlink": lambda r: os.unlink(r["path"], dir_fd=place(r)),
    "symlink": lambda r: os.symlink(r["text"], r["path"], dir_fd=place(r)),
    "chmod": lambda r: os.chmod(r["path"], r["mode"], dir_fd=place(r)),
    "rename": do_rename,
    "link": do_link,
    "make": do_make,
    "pid": lambda r: os.getpid(),
}


def main():
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"value": operations[request["op"]](request)}
        except OSError as error:
            answer = {"error": error.errno}
        except ValueError as error:
            answer = {"error": errno.EINVAL, "why": str(error)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


main()
