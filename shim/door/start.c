/* How a program comes into a session: before its first instruction, before libc's own start. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <linux/openat2.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "shim/core/lane.h"
#include "shim/core/text.h"
#include "shim/door/door.h"
#include "shim/door/ways.h"
#include "shim/patch/copy.h"
#include "shim/patch/ld_patch.h"

struct shim the_shim IN_DATA;

/* The libc copy that we are a part of (shim.ld). */
extern const struct copy_header shim_copy HIDDEN;
void shim_entry(void) HIDDEN;
void shim_start(int count, char **arguments, char **environment) HIDDEN;

static long memory_write(const struct caller *caller, void *to, const void *from, size_t length)
{
    (void)caller;
    /* The address is the program's word. The kernel's copy gives EFAULT where ours would crash. */
    struct iovec here = {(void *)(uintptr_t)from, length}, there = {to, length};
    long self = system_call(SYS_getpid, 0, 0, 0, 0, 0, 0);
    long put = system_call(SYS_process_vm_writev, self, (long)&here, 1, (long)&there, 1, 0);
    if (put == (long)length)
        return 0;
    if (put == -EPERM || put == -ENOSYS) {
        bytes_copy(to, from, length);
        return 0;
    }
    return -EFAULT;
}

/* A path list's component SESSION/spaces/ID/lib (or, in LD_PRELOAD,
 * SESSION/spaces/ID/lib/libc.so.6): fills session and space. */
static bool door_parse(const char *value, size_t length)
{
    struct core *core = &the_shim.core;
    const char file[] = "/libc.so.6";
    if (length > sizeof file &&
        text_equal(value + length - (sizeof file - 1), sizeof file - 1, file, sizeof file - 1))
        length -= sizeof file - 1;
    if (length < 16 || length >= sizeof the_shim.door || value[0] != '/' ||
        !text_equal(value + length - 4, 4, "/lib", 4))
        return false;
    size_t digits = length - 4;
    while (digits > 0 && value[digits - 1] >= '0' && value[digits - 1] <= '9')
        digits--;
    if (digits == length - 4 || digits < 8 || digits - 8 >= sizeof core->session ||
        !text_equal(value + digits - 8, 8, "/spaces/", 8))
        return false;
    const char *at = value + digits;
    if (!text_get_number(&at, &core->space))
        return false;
    core->session_length = digits - 8;
    bytes_copy(core->session, value, core->session_length);
    core->session[core->session_length] = '\0';
    bytes_copy(the_shim.door, value, length);
    the_shim.door[length] = '\0';
    the_shim.door_length = length;
    return true;
}

static const char *variable_value(const char *variable, const char *name)
{
    while (*name != '\0' && *variable == *name) {
        variable++;
        name++;
    }
    return *name == '\0' && *variable == '=' ? variable + 1 : NULL;
}

/* Find the door in a colon-separated value, and cut it out if asked to. 1: found; 2: found, and
 * nothing else was in it. */
static int door_find(char *value, bool cut)
{
    char *at = value;
    for (;;) {
        size_t length = 0;
        while (at[length] != '\0' && at[length] != ':' && at[length] != ' ')
            length++;
        if (door_parse(at, length)) {
            if (!cut)
                return 1;
            char *rest = at + length;
            if (*rest == '\0' && at == value)
                return 2;
            if (*rest == '\0') {
                at[-1] = '\0';
                return 1;
            }
            rest++;
            size_t left = text_length(rest) + 1;
            memmove(at, rest, left);
            return 1;
        }
        if (at[length] == '\0')
            return 0;
        at += length + 1;
    }
}

static void variable_remove(char **variable)
{
    do
        variable[0] = variable[1];
    while (*variable++ != NULL);
}

/* Take out what goes along with the door. */
static void lean_remove(char **environment)
{
    for (; *environment != NULL; environment++) {
        const char *value = variable_value(*environment, LEAN_VARIABLE);
        if (value == NULL)
            continue;
        if (text_equal(value, text_length(value), LEAN_VALUE, sizeof LEAN_VALUE - 1))
            variable_remove(environment);
        return;
    }
}

/* What was handed over for ld.so is closed by it, if it was told of it. Else nobody may inherit it.
 * The length of what is before its number. */
static size_t handed_close(const char *value, size_t length)
{
    size_t end = length;
    uint64_t descriptor;
    while (end > 0 && value[end - 1] >= '0' && value[end - 1] <= '9')
        end--;
    const char *at = value + end;
    if (end == 0 || value[end - 1] != DOOR_HANDED || !text_get_number(&at, &descriptor))
        return length;
    system_call(SYS_close, (long)descriptor, 0, 0, 0, 0, 0);
    return end - 1;
}

/* Take the door out of the environment: what the program sees is what it would see natively. */
static bool environment_read(char **environment)
{
    char **told = NULL;
    for (char **variable = environment; *variable != NULL; variable++) {
        char *value = (char *)(uintptr_t)variable_value(*variable, "LD_LIBRARY_PATH");
        int found = value == NULL ? 0 : door_find(value, true);
        if (found == 2)
            variable_remove(variable);
        if (found) {
            lean_remove(environment);
            return true;
        }
        if (told == NULL && variable_value(*variable, "HIRSEL_DOOR") != NULL)
            told = variable;
    }
    if (told != NULL) {
        const char *value = variable_value(*told, "HIRSEL_DOOR");
        size_t length = handed_close(value, text_length(value));
        if (length > 0 && value[length - 1] == DOOR_CLOSE) {
            the_shim.core.no_openat2 = true;
            length--;
        }
        the_shim.trapped = door_parse(value, length);
        if (the_shim.trapped)
            variable_remove(told);
        return the_shim.trapped;
    }
    for (char **variable = environment; *variable != NULL; variable++) {
        char *value = (char *)(uintptr_t)variable_value(*variable, "LD_PRELOAD");
        if (value != NULL && door_find(value, false))
            return true;
    }
    return false;
}

/* Started by a program that has no shim: who handed us to ld.so knows. Not past the trap server. */
static bool door_ask(void)
{
    char door[sizeof the_shim.door];
    const struct open_how how = {0};
    long length = system_call(SYS_readlink, (long)RESERVED_ROOT "/door", (long)door,
                              sizeof door - 1, 0, 0, 0);
    if (length <= 0 || length >= (long)sizeof door - 1)
        return false;
    door[length] = '\0';
    the_shim.trapped = door_parse(door, (size_t)length);
    /* Of a confined tree this is asked about, and refused: what is started from here is to know. */
    openat2_note(lane_call(SYS_openat2, -1, (long)"", (long)&how, sizeof how, 0));
    return the_shim.trapped;
}

/* In a translator: whose mirror is to be seen as what it is. */
static void own_node_read(char **environment)
{
    for (; *environment != NULL; environment++) {
        const char *value = variable_value(*environment, "HIRSEL_NODE_DIRECTORY");
        if (value == NULL)
            continue;
        size_t length = text_length(value);
        while (length > 0 && value[length - 1] != '/')
            length--;
        const char *digits = value + length;
        text_get_number(&digits, &the_shim.core.own_node);
        return;
    }
}

void *table_map(size_t size, int protection)
{
    char path[sizeof the_shim.door + sizeof "/table"];
    size_t length = the_shim.door_length - 4;
    bytes_copy(path, the_shim.door, length);
    bytes_copy(path + length, "/table", sizeof "/table");
    long file = lane_call(SYS_openat, AT_FDCWD, (long)path,
                          (protection & PROT_WRITE ? O_RDWR : O_RDONLY) | O_CLOEXEC, 0, 0);
    if (file < 0)
        return NULL;
    long memory = system_call(SYS_mmap, 0, (long)size, protection, MAP_SHARED, file, 0);
    system_call(SYS_close, file, 0, 0, 0, 0, 0);
    return system_failed(memory) ? NULL : (void *)memory;
}

static bool table_enter(void)
{
    struct core *core = &the_shim.core;
    const struct space_header *header = table_map(SPACE_FILE_SIZE, PROT_READ);
    if (header == NULL)
        return false;
    if (header->magic != SPACE_MAGIC || header->layout != SPACE_LAYOUT) {
        system_call(SYS_munmap, (long)header, SPACE_FILE_SIZE, 0, 0, 0, 0);
        return false;
    }
    core->header = header;
    core->net = (const struct space_net *)((const char *)header + SPACE_NET_OFFSET);
    return true;
}

/* The kernel's auxiliary vector lies behind the environment. */
static const Elf64_auxv_t *auxiliary_vector(char **environment)
{
    while (*environment != NULL)
        environment++;
    return (const Elf64_auxv_t *)(const void *)(environment + 1);
}

static uint64_t auxiliary_value(const Elf64_auxv_t *vector, uint64_t type)
{
    for (; vector->a_type != AT_NULL; vector++)
        if (vector->a_type == type)
            return vector->a_un.a_val;
    return 0;
}

/* The name of our own program's dynamic linker: another one must not load our libc. */
static void interpreter_find(const Elf64_auxv_t *vector)
{
    static const char usual[] = "/lib64/ld-linux-x86-64.so.2";
    const Elf64_Phdr *part = (const Elf64_Phdr *)auxiliary_value(vector, AT_PHDR);
    uint64_t count = auxiliary_value(vector, AT_PHNUM), base = 0;
    bytes_copy(the_shim.interpreter, usual, sizeof usual);
    for (uint64_t i = 0; part != NULL && i < count; i++)
        if (part[i].p_type == PT_PHDR)
            base = (uint64_t)part - part[i].p_vaddr;
    for (uint64_t i = 0; part != NULL && i < count; i++)
        if (part[i].p_type == PT_INTERP && part[i].p_filesz > 0 &&
            part[i].p_filesz <= sizeof the_shim.interpreter)
            bytes_copy(the_shim.interpreter, (const void *)(base + part[i].p_vaddr),
                       part[i].p_filesz);
}

static void session_enter(char **environment)
{
    /* A second copy in the same process (dlmopen) finds the door no longer in the environment:
     * its calls stay plain. */
    const struct copy_header *copy = &shim_copy;
    const Elf64_auxv_t *vector = auxiliary_vector(environment);
    if (!(environment_read(environment) || door_ask()) || !table_enter())
        return;
    the_shim.caller.core = &the_shim.core;
    the_shim.caller.process = "/proc/self";
    the_shim.caller.write = memory_write;
    interpreter_find(vector);
    own_node_read(environment);
    ways_start();
    /* What ld.so opens later, for dlopen, comes to the trap server: the page of ld.so that patching
     * copies costs as much as one such call, and most programs make none. */
    if (!the_shim.trapped)
        ld_patch(copy, (void *)auxiliary_value(vector, AT_BASE), LD_PATCH_USUAL);
    __atomic_store_n(copy_slot(copy), (void *)(uintptr_t)shim_entry, __ATOMIC_RELEASE);
}

/* ld.so calls it as the copy's DT_INIT: before any of libc's own constructors. */
void shim_start(int count, char **arguments, char **environment)
{
    session_enter(environment);
    copy_libc_start(&shim_copy, count, arguments, environment);
}
