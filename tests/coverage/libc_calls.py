"""Which system calls can each exported function of a libc make? Read off its machine code.

Functions are the ranges of .eh_frame (a stripped library names only what it exports). An edge is a
direct call, a jump out of the range, an address of another function being taken, or that of a
table of functions. Of each `syscall` instruction the number is what the code before it puts into
eax. What is called through a pointer that was stored at run time (the table of a FILE that is given,
NSS modules, ld.so) is not seen; symbols.tsv has what is known of that.
"""
import bisect
import re
import struct
import subprocess
import sys

ANY = -1  # the number is an argument: syscall(2)

NAMES_32 = ["eax", "ebx", "ecx", "edx", "esi", "edi", "ebp", "esp"] + [f"r{n}d" for n in range(8, 16)]
NAMES_64 = ["rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp"] + [f"r{n}" for n in range(8, 16)]
REGISTER = dict(zip(NAMES_32, range(16))) | dict(zip(NAMES_64, range(16)))


def run(*command):
    # readelf ends with 1 where the debug information that the library points at is not installed.
    return subprocess.run(command, capture_output=True, text=True).stdout


def libc_path():
    for line in run("/sbin/ldconfig", "-p").splitlines():
        if line.strip().startswith("libc.so.6 ") and "x86-64" in line:
            return line.split()[-1]
    sys.exit("no libc.so.6 found")


class Libc:
    def __init__(self, path):
        self.path = path
        self.ranges = self.read_ranges()
        self.starts = [start for start, _ in self.ranges]
        self.exports, self.resolvers, self.data = self.read_exports()
        self.pointers = self.read_pointers()
        self.calls = {}    # function -> numbers made by it itself
        self.edges = {}    # function -> functions
        self.unknown = []  # addresses of syscall instructions whose number is not to be seen
        self.read_code()

    def read_ranges(self):
        found = set()
        for line in run("readelf", "--debug-dump=frames", self.path).splitlines():
            match = re.search(r"FDE .*pc=([0-9a-f]+)\.\.([0-9a-f]+)", line)
            if match and int(match[1], 16):
                found.add((int(match[1], 16), int(match[2], 16)))
        return sorted(found)

    def function_at(self, address):
        i = bisect.bisect_right(self.starts, address) - 1
        if i >= 0 and address < self.ranges[i][1]:
            return self.starts[i]
        return None

    def read_exports(self):
        exports, resolvers, data = {}, set(), set()
        for line in run("nm", "-D", "--defined-only", self.path).splitlines():
            address, kind, name = line.split()
            name = name.split("@")[0]
            if kind in "TWt":
                exports.setdefault(name, set()).add(int(address, 16))
            elif kind == "i":
                resolvers.add(name)
            elif kind != "A":
                data.add(name)
        return exports, resolvers, data

    def read_pointers(self):
        """Places in data that ld.so will fill with a function's address."""
        with open(self.path, "rb") as file:
            image = file.read()
        header, = struct.unpack_from("<Q", image, 32)
        size, count = struct.unpack_from("<HH", image, 54)
        segments = [struct.unpack_from("<IIQQQQQQ", image, header + i * size) for i in range(count)]
        loads = [(s[3], s[3] + s[5], s[2]) for s in segments if s[0] == 1]
        dynamic = next(s for s in segments if s[0] == 2)
        tags = dict(struct.iter_unpack("<QQ", image[dynamic[2]:dynamic[2] + dynamic[5]]))

        def place(address):
            return next((address - start + offset for start, end, offset in loads
                         if start <= address < end), None)

        def word(address):
            at = place(address)
            return struct.unpack_from("<Q", image, at)[0] if at is not None else 0

        found = {}

        def add(address, target):
            if self.function_at(target) == target:
                found[address] = target

        for i in range(0, tags.get(8, 0), 24):  # DT_RELA
            address, info, addend = struct.unpack_from("<QQq", image, place(tags[7]) + i)
            if info & 0xFFFFFFFF == 8:  # R_X86_64_RELATIVE
                add(address, addend)
        next_address = 0
        for i in range(0, tags.get(35, 0), 8):  # DT_RELR: an address, or a map of the next 63
            entry, = struct.unpack_from("<Q", image, place(tags[36]) + i)
            if entry & 1 == 0:
                add(entry, word(entry))
                next_address = entry + 8
            else:
                for bit in range(63):
                    if entry >> (bit + 1) & 1:
                        add(next_address + bit * 8, word(next_address + bit * 8))
                next_address += 63 * 8
        return found

    def table_at(self, address):
        """The functions of the table that starts here; a FILE's table starts with two empty words."""
        if address not in self.pointers and address + 8 not in self.pointers:
            address += 16
        found = set()
        while address in self.pointers:
            found.add(self.pointers[address])
            address += 8
        return found

    def read_code(self):
        function, body = None, []
        for line in run("objdump", "-d", "--no-show-raw-insn", self.path).splitlines():
            parts = line.split("\t", 1)
            if len(parts) < 2 or not parts[0].endswith(":"):
                continue
            address = int(parts[0][:-1], 16)
            now = self.function_at(address)
            if now != function:
                self.read_function(function, body)
                function, body = now, []
            body.append((address, parts[1].split("#")[0].strip(), parts[1]))
        self.read_function(function, body)

    def read_function(self, function, body):
        if function is None:
            return
        calls, edges = self.calls.setdefault(function, set()), self.edges.setdefault(function, set())
        for i, (address, text, whole) in enumerate(body):
            if text == "syscall":
                number = self.number_before(body, i)
                if number is None:
                    self.unknown.append(address)
                    number = ANY
                calls.add(number)
                continue
            target = re.match(r"(?:bnd )?(?:call|j[a-z]+)\s+([0-9a-f]+)\b", text)
            if not target:
                target = re.match(r"(?:lea|mov) .*# ([0-9a-f]+)\b", whole)
                if target and self.function_at(int(target[1], 16)) != int(target[1], 16):
                    edges |= self.table_at(int(target[1], 16))
                    continue
            if target:
                other = self.function_at(int(target[1], 16))
                if other is not None and other != function:
                    edges.add(other)

    @staticmethod
    def number_before(body, i):
        wanted = REGISTER["eax"]
        for _, text, _ in reversed(body[:i]):
            match = re.match(r"(\w+)\s+(?:(.*),)?%(\w+)$", text)
            if not match or REGISTER.get(match[3]) != wanted:
                continue
            operation, source = match[1], match[2] or ""
            if operation == "mov" and source.startswith("$"):
                return int(source[1:], 16)
            if operation == "xor" and source == "%" + match[3]:
                return 0
            if operation == "mov" and source[:1] == "%" and source[1:] in REGISTER:
                wanted = REGISTER[source[1:]]
                continue
            if operation in ("cmp", "test", "push"):
                continue
            return None
        return None

    def reach(self, function):
        """Numbers that `function` can come to make."""
        seen, frontier, numbers = {function}, [function], set()
        while frontier:
            now = frontier.pop()
            numbers |= self.calls.get(now, set())
            for other in self.edges.get(now, ()):
                if other not in seen:
                    seen.add(other)
                    frontier.append(other)
        return numbers

    def own(self, function, public):
        """Numbers that it makes itself or in functions that no one else can call by name."""
        seen, frontier, numbers = {function}, [function], set()
        while frontier:
            now = frontier.pop()
            numbers |= self.calls.get(now, set())
            for other in self.edges.get(now, ()):
                if other not in seen and other not in public:
                    seen.add(other)
                    frontier.append(other)
        return numbers


if __name__ == "__main__":
    libc = Libc(sys.argv[1] if len(sys.argv) > 1 else libc_path())
    print(len(libc.ranges), "functions,", sum(len(c) for c in libc.calls.values()), "calls,",
          len(libc.unknown), "unknown:", [hex(a) for a in libc.unknown])
    for name in sorted(libc.exports):
        numbers = set().union(*(libc.reach(a) for a in libc.exports[name]))
        print(name, sorted(numbers))
