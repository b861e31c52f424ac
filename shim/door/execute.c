/* execve, execveat: what is executed is the session's file, and the door goes along.
 *
 * Memory mapped here would outlive the call in the parent of a vfork child, and posix_spawn's
 * child has 32 KiB of stack: what is built is on the stack, and just as long as it must be. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/core/lane.h"
#include "shim/core/scratch.h"
#include "shim/core/text.h"
#include "shim/door/door.h"
#include "shim/door/handover.h"
#include "shim/door/ways.h"

enum {
    HEAD_SIZE = 1024,
    STACK_POINTERS = 1024, /* arrays longer than this are mapped, not on the stack */
    SCRIPT_DEPTH = 5,      /* the kernel gives ELOOP behind that */
};

/* By which a program comes in where ld.so must be led to the libc copy; and where the trap server
 * hands it the copy, so that only the name space is to be told (door.h). */
#define PATH_VARIABLE "LD_LIBRARY_PATH="

/* What kind of file is executed, from its first bytes. */
enum image {
    IMAGE_UNKNOWN, /* can't be read, or none of these: the kernel knows */
    IMAGE_DYNAMIC, /* its interpreter is our ld.so */
    IMAGE_FOREIGN, /* another dynamic linker: our libc must not get into it */
    IMAGE_STATIC,
    IMAGE_SCRIPT,
};

static enum image image_kind(const char *head, long length)
{
    const Elf64_Ehdr *file = (const Elf64_Ehdr *)(const void *)head;
    if (length >= 2 && head[0] == '#' && head[1] == '!')
        return IMAGE_SCRIPT;
    if (length < (long)sizeof *file || !text_begins(head, 4, ELFMAG, 4))
        return IMAGE_UNKNOWN;
    if (file->e_ident[EI_CLASS] != ELFCLASS64 || file->e_machine != EM_X86_64)
        return IMAGE_FOREIGN;
    if (file->e_phoff > (uint64_t)length || file->e_phentsize != sizeof(Elf64_Phdr))
        return IMAGE_DYNAMIC;
    const Elf64_Phdr *part = (const Elf64_Phdr *)(const void *)(head + file->e_phoff);
    for (unsigned i = 0; i < file->e_phnum; i++, part++) {
        if ((const char *)(part + 1) > head + length)
            return IMAGE_DYNAMIC; /* not seen: the common case */
        if (part->p_type != PT_INTERP)
            continue;
        if (part->p_offset + part->p_filesz > (uint64_t)length || part->p_filesz == 0)
            return IMAGE_DYNAMIC;
        return text_equal(head + part->p_offset, part->p_filesz - 1, the_shim.interpreter,
                          text_length(the_shim.interpreter))
                   ? IMAGE_DYNAMIC
                   : IMAGE_FOREIGN;
    }
    return IMAGE_STATIC;
}

/* Whether the value of LD_LIBRARY_PATH begins with a door: ours, or another name space's that
 * hirsel run put there (a program never sees its own). Then that one is meant. */
static bool door_is_in(const char *value)
{
    size_t length = 0;
    while (value[length] != '\0' && value[length] != ':')
        length++;
    if (length < sizeof "/spaces/0/lib" || value[0] != '/' ||
        !text_equal(value + length - 4, 4, "/lib", 4))
        return false;
    size_t digits = length - 4;
    while (digits > 8 && value[digits - 1] >= '0' && value[digits - 1] <= '9')
        digits--;
    return digits < length - 4 && text_equal(value + digits - 8, 8, "/spaces/", 8);
}

static bool variable_is(const char *variable, const char *start, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (variable[i] != start[i])
            return false;
    return true;
}

/* One exec, made ready: everything on the caller's stack. */
struct execution {
    int directory;
    const char *path;
    char *const *arguments;
    char *const *environment;
    int flags;
};

static long execute_plain(const struct execution *execution)
{
    if (execution->directory == AT_FDCWD && execution->flags == 0)
        return lane_call(SYS_execve, (long)execution->path, (long)execution->arguments,
                         (long)execution->environment, 0, 0);
    return lane_call(SYS_execveat, execution->directory, (long)execution->path,
                     (long)execution->arguments, (long)execution->environment, execution->flags);
}

/* Room for a long array of pointers; NULL for one that the stack should hold. */
static char **pointers_take(struct hold *hold, size_t count)
{
    return count <= STACK_POINTERS ? NULL : scratch_take(hold, count * sizeof(char *));
}

static void pointers_give(struct hold *hold, char **pointers, size_t count)
{
    if (pointers != NULL)
        scratch_give(hold, pointers, count * sizeof(char *));
}

/* With the door in the environment. Separate, so that its arrays are on the stack only now. */
static __attribute__((noinline)) long execute_with_door(const struct execution *execution,
                                                        enum image image)
{
    const char *start = the_shim.trapped ? DOOR_VARIABLE : PATH_VARIABLE;
    size_t length = text_length(start), count = 0, at = 1;
    struct execution changed = *execution;
    const char *old = NULL;
    bool lean = !the_shim.trapped;
    char *const *environment = execution->environment;
    for (; environment != NULL && environment[count] != NULL; count++) {
        if (variable_is(environment[count], DOOR_VARIABLE, sizeof DOOR_VARIABLE - 1))
            return execute_plain(execution);
        if (old == NULL && variable_is(environment[count], PATH_VARIABLE, sizeof PATH_VARIABLE - 1))
            old = environment[count] + sizeof PATH_VARIABLE - 1;
        if (variable_is(environment[count], LEAN_VARIABLE "=", sizeof LEAN_VARIABLE))
            lean = false;
    }
    if (old != NULL && door_is_in(old))
        return execute_plain(execution);
    size_t old_length = old == NULL || the_shim.trapped ? 0 : text_length(old);
    if (old_length > STACK_POINTERS * sizeof(char *))
        return -E2BIG;
    struct hold hold;
    char **mapped = pointers_take(&hold, count + 3), **variables = mapped;
    if (variables == NULL)
        variables = __builtin_alloca((count + 3) * sizeof *variables);
    for (size_t i = 0; i < count; i++)
        if (!variable_is(environment[i], start, length))
            variables[at++] = environment[i];
    if (lean)
        variables[at++] = (char *)(uintptr_t)(LEAN_VARIABLE "=" LEAN_VALUE);
    variables[at] = NULL;
    /* With a path of its own ld.so may find another libc. */
    long handed = image == IMAGE_DYNAMIC && old == NULL ? handover_begin() : -1;
    char *value = __builtin_alloca(length + the_shim.door_length + old_length + 24);
    bytes_copy(value, start, length);
    bytes_copy(value + length, the_shim.door, the_shim.door_length);
    length += the_shim.door_length;
    if (trap_decides())
        value[length++] = DOOR_CLOSE;
    if (handed >= 0) {
        value[length++] = DOOR_HANDED;
        length += text_put_number(value + length, (uint64_t)handed);
    }
    if (old_length > 0) {
        value[length++] = ':';
        bytes_copy(value + length, old, old_length);
        length += old_length;
    }
    value[length] = '\0';
    variables[0] = value;
    changed.environment = variables;
    long result = execute_plain(&changed);
    handover_end(handed);
    pointers_give(&hold, mapped, count + 3);
    return result;
}

static long execute_image(const struct execution *execution, enum image image)
{
    /* Programs that cannot have a shim: for the trap server to look after, or, where there is none,
     * to take the door along for those that they start. */
    if (image == IMAGE_FOREIGN || (image == IMAGE_STATIC && the_shim.trapped))
        return execute_plain(execution);
    return execute_with_door(execution, image);
}

/* "#! interpreter argument": cut out of the head, as the kernel does. */
static bool script_parse(char *head, long length, char **interpreter, char **argument)
{
    long end = 2;
    while (end < length && end < 256 && head[end] != '\n')
        end++;
    if (end == length && length == HEAD_SIZE)
        return false;
    while (end > 2 && (head[end - 1] == ' ' || head[end - 1] == '\t'))
        end--;
    head[end] = '\0';
    char *at = head + 2;
    while (*at == ' ' || *at == '\t')
        at++;
    if (*at == '\0')
        return false;
    *interpreter = at;
    while (*at != '\0' && *at != ' ' && *at != '\t')
        at++;
    *argument = NULL;
    if (*at != '\0') {
        *at++ = '\0';
        while (*at == ' ' || *at == '\t')
            at++;
        if (*at != '\0')
            *argument = at;
    }
    return true;
}

static long execute(const struct execution *execution, unsigned depth);

/* A script whose name or whose interpreter is not the host's own: started as the kernel would
 * start it, with the names that the session has for both. */
static __attribute__((noinline)) long execute_script(const struct execution *execution,
                                                     const char *name, char *head, long length,
                                                     unsigned depth)
{
    char *interpreter, *argument;
    char *const *rest = execution->arguments;
    size_t count = 0, given = 0;
    if (depth >= SCRIPT_DEPTH)
        return -ELOOP;
    if (!script_parse(head, length, &interpreter, &argument))
        return -ENOEXEC;
    while (rest != NULL && rest[given] != NULL)
        given++;
    struct hold hold;
    char **mapped = pointers_take(&hold, given + 4), **arguments = mapped;
    if (arguments == NULL)
        arguments = __builtin_alloca((given + 4) * sizeof *arguments);
    arguments[count++] = interpreter;
    if (argument != NULL)
        arguments[count++] = argument;
    arguments[count++] = (char *)(uintptr_t)name;
    for (size_t i = 1; i < given; i++)
        arguments[count++] = rest[i];
    arguments[count] = NULL;
    struct execution next = {
        .directory = AT_FDCWD,
        .path = interpreter,
        .arguments = arguments,
        .environment = execution->environment,
    };
    long result = execute(&next, depth + 1);
    pointers_give(&hold, mapped, given + 4);
    return result;
}

/* The kernel gives a program below a filter no rights that its caller has not. The trap server says
 * so to the user, if it hears of it: what is laned it does not. Where none is there is no such
 * name. */
static void rights_tell(long descriptor)
{
    static const char capabilities[] = "security.capability";
    char name[sizeof RIGHTS_NAME + 20], none[1];
    struct stat status;
    if (trap_decides() || system_call(SYS_fstat, descriptor, (long)&status, 0, 0, 0, 0) != 0)
        return;
    if (!(status.st_mode & (S_ISUID | S_ISGID)) &&
        system_call(SYS_fgetxattr, descriptor, (long)capabilities, 0, 0, 0, 0) <= 0)
        return;
    bytes_copy(name, RIGHTS_NAME, sizeof RIGHTS_NAME - 1);
    name[sizeof RIGHTS_NAME - 1 +
         text_put_number(name + sizeof RIGHTS_NAME - 1, (uint64_t)descriptor)] = '\0';
    system_call(SYS_readlink, (long)name, (long)none, sizeof none, 0, 0, 0);
}

/* A program that may be executed and not read. */
static __attribute__((noinline)) void unreadable_look(int directory, const char *path, int flags)
{
    long descriptor =
        lane_call(SYS_openat, directory, (long)path,
                  O_PATH | O_CLOEXEC | (flags & AT_SYMLINK_NOFOLLOW ? O_NOFOLLOW : 0), 0, 0);
    if (descriptor < 0)
        return;
    rights_tell(descriptor);
    system_call(SYS_close, descriptor, 0, 0, 0, 0, 0);
}

/* In a confined tree nothing but an open tells whether a symlink is at the end of a way that is
 * known to be plain. 1: none, or one that leads where the kernel's walk does; 0: not known;
 * -ENOENT.
 */
static long target_is_taught(const struct view *view, int directory, const char *path)
{
    if (!way_is_plain(view, directory, path))
        return 0;
    long file = lane_call(SYS_openat, directory, (long)path,
                          O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW, 0, 0);
    if (file >= 0) {
        system_call(SYS_close, file, 0, 0, 0, 0, 0);
        return 1;
    }
    if (file == -ENOENT && !missing_is_doubtful(view, directory, path))
        return -ENOENT;
    return file == -ELOOP &&
           way_is_known(way_number(view, WAY_FOLLOWED, directory, path, text_length(path)));
}

/* Asks about the path by an open, which teaches what it is. execvp(3) tries all of $PATH: that
 * nothing is there is the usual answer. */
static long target_is_asked(const struct view *view, int directory, const char *path)
{
    long taught = target_is_taught(view, directory, path);
    if (taught != 0)
        return taught;
    long file =
        system_call(SYS_openat, directory, (long)path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0, 0, 0);
    if (file < 0)
        return file == -ENOENT ? -ENOENT : 0;
    system_call(SYS_close, file, 0, 0, 0, 0, 0);
    return target_is_taught(view, directory, path);
}

static long head_read(int directory, const char *path, int flags, char *head)
{
    long descriptor = (flags & AT_EMPTY_PATH) && path[0] == '\0'
                          ? directory
                          : lane_call(SYS_openat, directory, (long)path,
                                      O_RDONLY | O_CLOEXEC | O_NONBLOCK |
                                          (flags & AT_SYMLINK_NOFOLLOW ? O_NOFOLLOW : 0),
                                      0, 0);
    if (descriptor == -EACCES)
        unreadable_look(directory, path, flags);
    if (descriptor < 0)
        return descriptor;
    rights_tell(descriptor);
    long length = system_call(SYS_pread64, descriptor, (long)head, HEAD_SIZE, 0, 0, 0);
    if (descriptor != directory)
        system_call(SYS_close, descriptor, 0, 0, 0, 0, 0);
    return length;
}

/* Where what has this name in the session may be executed, if it is a translator's file and this a
 * confined tree: the trap server knows. */
static long program_ask(const char *name, char *host)
{
    size_t start = sizeof PROGRAM_NAME - 1, length = text_length(name);
    struct hold hold;
    char *question;
    long result;
    if (name[0] != '/' || start + length >= PATH_LIMIT)
        return -EINVAL;
    question = scratch_take(&hold, PATH_LIMIT);
    if (question == NULL)
        return -ENOMEM;
    bytes_copy(question, PROGRAM_NAME, start);
    bytes_copy(question + start, name, length + 1);
    const long arguments[6] = {(long)question, (long)host, PATH_LIMIT};
    result = call_asked(SYS_readlink, arguments);
    if (result >= PATH_LIMIT)
        result = -ENAMETOOLONG;
    if (result > 0)
        host[result] = '\0';
    scratch_give(&hold, question, PATH_LIMIT);
    return result;
}

/* What was refused: of a translator's file Landlock knows no better. `name`: in the session;
 * `script`: what its interpreter is told, if it is one. */
static __attribute__((noinline)) long execute_refused(const struct execution *execution,
                                                      const char *name, const char *script,
                                                      unsigned depth)
{
    struct execution changed = {.directory = AT_FDCWD,
                                .arguments = execution->arguments,
                                .environment = execution->environment};
    char head[HEAD_SIZE];
    struct hold hold;
    char *buffer = scratch_take(&hold, PATH_LIMIT);
    if (buffer == NULL)
        return -EACCES;
    long result = program_ask(name, buffer);
    size_t size = result > 0 ? (size_t)result + 1 : 0;
    char *host = __builtin_alloca(size);
    bytes_copy(host, buffer, size);
    scratch_give(&hold, buffer, PATH_LIMIT);
    if (size == 0)
        return -EACCES;
    changed.path = host;
    long length = head_read(AT_FDCWD, host, 0, head);
    enum image image = length < 0 ? IMAGE_UNKNOWN : image_kind(head, length);
    if (image != IMAGE_SCRIPT)
        return execute_image(&changed, image);
    /* By a descriptor that the interpreter could not open. */
    if (execution->path[0] == '\0' &&
        (system_call(SYS_fcntl, execution->directory, F_GETFD, 0, 0, 0, 0) & FD_CLOEXEC))
        return -ENOENT;
    return execute_script(&changed, script, head, length, depth);
}

/* Where the kernel's walk is the session's. */
static long execute_here(const struct execution *execution, enum image image, unsigned depth)
{
    char name[32] = "/dev/fd/";
    long result = execute_image(execution, image);
    if (result != -EACCES)
        return result;
    if (execution->path[0] != '\0')
        return execute_refused(execution, execution->path, execution->path, depth);
    if (execution->directory < 0)
        return result;
    name[8 + text_put_number(name + 8, (uint64_t)execution->directory)] = '\0';
    return execute_refused(execution, name, name, depth);
}

/* By the walk: where the path leads on the host, and what it is called in the session. */
static __attribute__((noinline)) long execute_slow(const struct execution *execution,
                                                   unsigned depth)
{
    char head[HEAD_SIZE];
    struct execution changed = *execution;
    struct hold hold;
    char *buffer = scratch_take(&hold, 2 * PATH_LIMIT);
    if (buffer == NULL)
        return -ENOMEM;
    long result = path_to_host(execution->directory, execution->path,
                               execution->flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW, buffer,
                               buffer + PATH_LIMIT);
    if (result < 0) {
        scratch_give(&hold, buffer, 2 * PATH_LIMIT);
        /* A translator opens no FIFO, and the kernel executes none. */
        if (result == -ENXIO)
            return -EACCES;
        return result == -ESTALE ? execute_image(execution, IMAGE_UNKNOWN) : result;
    }
    size_t host_size = text_length(buffer) + 1, name_size = text_length(buffer + PATH_LIMIT) + 1;
    char *host = __builtin_alloca(host_size);
    char *name = __builtin_alloca(name_size);
    bytes_copy(host, buffer, host_size);
    bytes_copy(name, buffer + PATH_LIMIT, name_size);
    scratch_give(&hold, buffer, 2 * PATH_LIMIT);
    /* An absolute path is passed on as it was given, a relative one too: that is $0. */
    const char *script = execution->path[0] != '\0' ? execution->path : name;
    changed.directory = AT_FDCWD;
    changed.path = host;
    changed.flags = 0;
    long length = head_read(AT_FDCWD, host, 0, head);
    enum image image = length < 0 ? IMAGE_UNKNOWN : image_kind(head, length);
    if (image == IMAGE_SCRIPT) {
        result = lane_call(SYS_faccessat, AT_FDCWD, (long)host, X_OK, 0, 0);
        if (result < 0)
            return result;
        return execute_script(execution, script, head, length, depth);
    }
    result = execute_image(&changed, image);
    return result == -EACCES ? execute_refused(execution, name, script, depth) : result;
}

static __attribute__((noinline)) bool is_script(const char *path)
{
    char head[HEAD_SIZE];
    return head_read(AT_FDCWD, path, 0, head) > 2 && head[0] == '#' && head[1] == '!';
}

/* 1: the host's own walk to this path is the session's. 0: it need not be. -ENOENT: it was made,
 * and nothing is there. */
static long path_is_plain(const struct view *view, int directory, const char *path)
{
    if ((view->table != NULL || view->places) && text_find(view, directory, path) == TEXT_TABLE)
        return 0;
    if (!links_matter(view, path))
        return 1;
    return trap_decides() ? target_is_asked(view, directory, path)
                          : target_is_plain(view, directory, path);
}

static long execute(const struct execution *execution, unsigned depth)
{
    char head[HEAD_SIZE];
    struct view view = view_get();
    bool by_descriptor = (execution->flags & AT_EMPTY_PATH) && execution->path[0] == '\0';
    long plain = by_descriptor ? 1 : path_is_plain(&view, execution->directory, execution->path);
    if (plain <= 0)
        return plain < 0 ? plain : execute_slow(execution, depth);
    long length = head_read(execution->directory, execution->path, execution->flags, head);
    if (length == -ENOENT || length == -ELOOP || length == -ENOTDIR)
        return by_descriptor ? execute_plain(execution) : execute_slow(execution, depth);
    enum image image = length < 0 ? IMAGE_UNKNOWN : image_kind(head, length);
    if (image == IMAGE_SCRIPT && !by_descriptor) {
        char line[256], *interpreter, *argument;
        bytes_copy(line, head, sizeof line);
        line[sizeof line - 1] = '\0';
        /* The interpreter may be a script, too, and its own one a name of the session's. */
        if (script_parse(line, length < 255 ? length : 255, &interpreter, &argument) &&
            (path_is_plain(&view, AT_FDCWD, interpreter) <= 0 ||
             (view.shadows && is_script(interpreter))))
            return execute_slow(execution, depth);
        long result = execute_image(execution, image);
        return result == -ENOENT ? execute_slow(execution, depth) : result;
    }
    return execute_here(execution, image, depth);
}

long execute_call(long number, const long arguments[6])
{
    struct execution execution = {.directory = AT_FDCWD};
    if (number == SYS_execve) {
        execution.path = (const char *)arguments[0];
        execution.arguments = (char *const *)arguments[1];
        execution.environment = (char *const *)arguments[2];
    } else {
        execution.directory = (int)arguments[0];
        execution.path = (const char *)arguments[1];
        execution.arguments = (char *const *)arguments[2];
        execution.environment = (char *const *)arguments[3];
        execution.flags = (int)arguments[4];
    }
    if (execution.path == NULL)
        return -EFAULT;
    long checked = path_check(execution.path);
    if (checked < 0)
        return checked;
    if (execution.path[0] == '\0' && !(execution.flags & AT_EMPTY_PATH))
        return -ENOENT;
    return execute(&execution, 0);
}
