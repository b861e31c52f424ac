/* walker: agent.py for programs that no shim is in: reads requests, a line each, fields NAME=VALUE
 * between tabs with %XX for odd bytes, does what each asks and answers with a line of JSON, every
 * byte above 127 as \u00XX. "how" chooses among calls that should mean the same: 0 is the C
 * library's function, the others are system calls of different age. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { FIELDS = 16, DIRECTORIES = 8 };

struct field {
    const char *name;
    char *value;
};

struct request {
    struct field fields[FIELDS];
    size_t count;
};

static int directories[DIRECTORIES] = {-1, -1, -1, -1, -1, -1, -1, -1};

static int digit(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

static void decode(char *text)
{
    char *out = text;
    for (; *text; text++) {
        if (*text == '%' && text[1] && text[2]) {
            *out++ = (char)(digit(text[1]) * 16 + digit(text[2]));
            text += 2;
        } else {
            *out++ = *text;
        }
    }
    *out = '\0';
}

static void request_parse(struct request *request, char *line)
{
    request->count = 0;
    line[strcspn(line, "\n")] = '\0';
    for (char *rest = line, *field; (field = strsep(&rest, "\t")) && request->count < FIELDS;) {
        char *equal = strchr(field, '=');
        if (!equal)
            continue;
        *equal = '\0';
        decode(equal + 1);
        request->fields[request->count++] = (struct field){.name = field, .value = equal + 1};
    }
}

static char *text_of(const struct request *request, const char *name)
{
    for (size_t i = 0; i < request->count; i++)
        if (strcmp(request->fields[i].name, name) == 0)
            return request->fields[i].value;
    return NULL;
}

static long number_of(const struct request *request, const char *name)
{
    const char *text = text_of(request, name);
    return text ? strtol(text, NULL, 10) : 0;
}

static int place_of(const struct request *request, const char *name)
{
    const char *text = text_of(request, name);
    return text ? directories[strtol(text, NULL, 10) % DIRECTORIES] : AT_FDCWD;
}

static void print_text(const char *text, size_t length)
{
    putchar('"');
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 32 || c > 126 || c == '"' || c == '\\')
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

static void print_identity(const struct stat *status)
{
    printf("[%u, %llu, %llu, %lld, %lld, %llu]", status->st_mode,
           (unsigned long long)status->st_dev, (unsigned long long)status->st_ino,
           (long long)status->st_size, (long long)status->st_mtim.tv_sec,
           (unsigned long long)status->st_nlink);
}

/* ---- each operation prints {"value": …, or returns -1 with errno ---- */

static int answer_status(int failed, const struct stat *status)
{
    if (failed)
        return -1;
    printf("{\"value\": ");
    print_identity(status);
    return 0;
}

static int answer_nothing(long result)
{
    if (result < 0)
        return -1;
    printf("{\"value\": null");
    return 0;
}

static int answer_number(long result)
{
    if (result < 0)
        return -1;
    printf("{\"value\": %ld", result);
    return 0;
}

static int answer_text(const char *text, size_t length)
{
    printf("{\"value\": ");
    print_text(text, length);
    return 0;
}

/* By open(2), openat(2) of libc, or openat2(2). */
static int open_by(const struct request *request, int flags, mode_t mode)
{
    long how = number_of(request, "how");
    int at = place_of(request, "at");
    const char *path = text_of(request, "path");
    uint64_t wanted[3] = {(uint64_t)flags, flags & O_CREAT ? mode : 0,
                          (uint64_t)number_of(request, "resolve")};
    if (how == 2)
        return (int)syscall(SYS_openat2, at, path, wanted, sizeof wanted);
    if (how == 1 && at == AT_FDCWD)
        return (int)syscall(SYS_open, path, flags | O_LARGEFILE, mode);
    return openat(at, path, flags, mode);
}

/* What statx(2) fills in; musl has no word for it. */
struct statx_head {
    uint32_t mask, block_size;
    uint64_t attributes;
    uint32_t links, user, group;
    uint16_t mode, spare;
    uint64_t inode, size, blocks, attributes_mask;
    struct {
        int64_t seconds;
        uint32_t nanoseconds, spare;
    } access, birth, change, modify;
    uint32_t special_major, special_minor, major, minor;
    uint64_t rest[14];
};

static int stat_by_statx(int at, const char *path, int flags, struct stat *status)
{
    struct statx_head found;
    _Static_assert(sizeof found == 256, "as the kernel lays it out");
    if (syscall(SYS_statx, at, path, flags, 0x7ff, &found) != 0)
        return -1;
    *status = (struct stat){
        .st_mode = found.mode,
        .st_dev = makedev(found.major, found.minor),
        .st_ino = found.inode,
        .st_size = (off_t)found.size,
        .st_mtim.tv_sec = found.modify.seconds,
        .st_nlink = found.links,
    };
    return 0;
}

static int stat_by_descriptor(int at, const char *path, bool follow, struct stat *status)
{
    int descriptor = openat(at, path, O_PATH | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW));
    if (descriptor < 0)
        return -1;
    int failed = fstat(descriptor, status);
    close(descriptor);
    return failed;
}

static int do_stat(const struct request *request, bool follow)
{
    struct stat status;
    int at = place_of(request, "at"), flags = follow ? 0 : AT_SYMLINK_NOFOLLOW;
    const char *path = text_of(request, "path");
    int failed = 0;

    switch (number_of(request, "how")) {
    case 1:
        failed = stat_by_statx(at, path, flags, &status);
        break;
    case 2:
        failed = stat_by_descriptor(at, path, follow, &status);
        break;
    default:
        failed = fstatat(at, path, &status, flags);
        break;
    }
    return answer_status(failed, &status);
}

static int do_read(const struct request *request)
{
    char text[4096];
    struct stat status;
    ssize_t length = 0;
    int descriptor = open_by(request, O_RDONLY | O_CLOEXEC, 0);
    if (descriptor < 0)
        return -1;
    int failed = fstat(descriptor, &status);
    if (!failed && !S_ISDIR(status.st_mode))
        length = read(descriptor, text, sizeof text);
    close(descriptor);
    if (failed || length < 0)
        return -1;
    printf("{\"value\": [");
    print_identity(&status);
    printf(", ");
    print_text(text, (size_t)length);
    putchar(']');
    return 0;
}

static int do_open(const struct request *request)
{
    struct stat status;
    int descriptor = open_by(request, (int)number_of(request, "flags"), 0644);
    if (descriptor < 0)
        return -1;
    int failed = fstat(descriptor, &status);
    close(descriptor);
    return answer_status(failed, &status);
}

static int read_link(int at, const char *path)
{
    char text[PATH_MAX];
    ssize_t length = readlinkat(at, path, text, sizeof text);
    return length < 0 ? -1 : answer_text(text, (size_t)length);
}

static int do_fd_name(const struct request *request)
{
    char link[32];
    int descriptor = openat(place_of(request, "at"), text_of(request, "path"), O_PATH);
    if (descriptor < 0)
        return -1;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    int failed = read_link(AT_FDCWD, link);
    close(descriptor);
    return failed;
}

static int do_access(const struct request *request)
{
    int at = place_of(request, "at"), mode = (int)number_of(request, "mode");
    const char *path = text_of(request, "path");
    switch (number_of(request, "how")) {
    case 1:
        if (at == AT_FDCWD)
            return answer_number(access(path, mode));
        break;
    case 2:
        return answer_number(syscall(SYS_faccessat2, at, path, mode, 0));
    default:
        break;
    }
    return answer_number(faccessat(at, path, mode, 0));
}

static char kind_of(int descriptor, const struct dirent *entry)
{
    struct stat status;
    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type == DT_LNK ? 'l' : entry->d_type == DT_DIR ? 'd' : 'f';
    if (fstatat(descriptor, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return '?';
    return S_ISLNK(status.st_mode) ? 'l' : S_ISDIR(status.st_mode) ? 'd' : 'f';
}

static int do_list(const struct request *request)
{
    int descriptor =
        openat(place_of(request, "at"), text_of(request, "path"), O_RDONLY | O_DIRECTORY);
    DIR *stream = descriptor < 0 ? NULL : fdopendir(descriptor);
    const char *between = "";
    if (!stream) {
        int error = errno;
        if (descriptor >= 0)
            close(descriptor);
        errno = error;
        return -1;
    }
    printf("{\"value\": [");
    for (const struct dirent *entry; (entry = readdir(stream));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        printf("%s[", between);
        print_text(entry->d_name, strlen(entry->d_name));
        printf(", \"%c\"]", kind_of(descriptor, entry));
        between = ", ";
    }
    putchar(']');
    closedir(stream);
    return 0;
}

static int do_chdir(const struct request *request)
{
    const char *path = text_of(request, "path");
    if (number_of(request, "how") != 1)
        return answer_nothing(chdir(path));
    int descriptor = open(path, O_PATH | O_DIRECTORY);
    if (descriptor < 0)
        return -1;
    int failed = fchdir(descriptor);
    int error = errno;
    close(descriptor);
    errno = error;
    return answer_nothing(failed);
}

static int do_getcwd(void)
{
    char name[PATH_MAX], link[PATH_MAX];
    struct stat status;
    if (!getcwd(name, sizeof name) || stat(".", &status) != 0)
        return -1;
    ssize_t length = readlink("/proc/self/cwd", link, sizeof link);
    if (length < 0)
        return -1;
    printf("{\"value\": [");
    print_text(name, strlen(name));
    printf(", ");
    print_identity(&status);
    printf(", ");
    print_text(link, (size_t)length);
    putchar(']');
    return 0;
}

static int do_directory(const struct request *request)
{
    int flags = O_DIRECTORY | (number_of(request, "how") == 1 ? O_PATH : O_RDONLY);
    int descriptor = openat(place_of(request, "at"), text_of(request, "path"), flags);
    int *kept = &directories[number_of(request, "number") % DIRECTORIES];
    if (descriptor < 0)
        return -1;
    if (*kept >= 0)
        close(*kept);
    *kept = descriptor;
    return answer_number(descriptor);
}

static int do_realpath(const struct request *request)
{
    char *found = realpath(text_of(request, "path"), NULL);
    if (!found)
        return -1;
    /* musl keeps two slashes at the start, as POSIX allows. */
    const char *name = found[0] == '/' && found[1] == '/' ? found + 1 : found;
    int failed = answer_text(name, strlen(name));
    free(found);
    return failed;
}

static int do_rename(const struct request *request)
{
    int at = place_of(request, "at"), at2 = place_of(request, "at2");
    const char *path = text_of(request, "path"), *path2 = text_of(request, "path2");
    long flags = number_of(request, "flags");
    if (flags || number_of(request, "how") == 1)
        return answer_nothing(syscall(SYS_renameat2, at, path, at2, path2, flags));
    if (at == AT_FDCWD && at2 == AT_FDCWD)
        return answer_nothing(rename(path, path2));
    return answer_nothing(renameat(at, path, at2, path2));
}

static int do_make(const struct request *request)
{
    const char *text = text_of(request, "text");
    size_t length = strlen(text);
    int descriptor = open(text_of(request, "path"), O_WRONLY | O_CREAT | O_EXCL, 0644);
    if (descriptor < 0)
        return -1;
    ssize_t written = write(descriptor, text, length);
    close(descriptor);
    return answer_nothing(written == (ssize_t)length ? 0 : -1);
}

static int do_readlink(const struct request *request)
{
    return read_link(place_of(request, "at"), text_of(request, "path"));
}

static int request_do(const struct request *request)
{
    const char *op = text_of(request, "op"), *path = text_of(request, "path");
    int at = place_of(request, "at");
    mode_t mode = (mode_t)number_of(request, "mode");

    if (strcmp(op, "lstat") == 0 || strcmp(op, "stat") == 0)
        return do_stat(request, op[0] == 's');
    if (strcmp(op, "read") == 0)
        return do_read(request);
    if (strcmp(op, "open") == 0)
        return do_open(request);
    if (strcmp(op, "fd_name") == 0)
        return do_fd_name(request);
    if (strcmp(op, "readlink") == 0)
        return do_readlink(request);
    if (strcmp(op, "access") == 0)
        return do_access(request);
    if (strcmp(op, "list") == 0)
        return do_list(request);
    if (strcmp(op, "chdir") == 0)
        return do_chdir(request);
    if (strcmp(op, "getcwd") == 0)
        return do_getcwd();
    if (strcmp(op, "directory") == 0)
        return do_directory(request);
    if (strcmp(op, "realpath") == 0)
        return do_realpath(request);
    if (strcmp(op, "mkdir") == 0)
        return answer_nothing(at == AT_FDCWD ? mkdir(path, 0777) : mkdirat(at, path, 0777));
    if (strcmp(op, "rmdir") == 0)
        return answer_nothing(unlinkat(at, path, AT_REMOVEDIR));
    if (strcmp(op, "unlink") == 0)
        return answer_nothing(at == AT_FDCWD ? unlink(path) : unlinkat(at, path, 0));
    if (strcmp(op, "symlink") == 0)
        return answer_nothing(symlinkat(text_of(request, "text"), at, path));
    if (strcmp(op, "chmod") == 0)
        return answer_nothing(fchmodat(at, path, mode, 0));
    if (strcmp(op, "rename") == 0)
        return do_rename(request);
    if (strcmp(op, "link") == 0)
        return answer_nothing(
            linkat(at, path, place_of(request, "at2"), text_of(request, "path2"), 0));
    if (strcmp(op, "make") == 0)
        return do_make(request);
    if (strcmp(op, "pid") == 0)
        return answer_number(getpid());
    errno = ENOSYS;
    return -1;
}

int main(void)
{
    struct request request;
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, stdin) > 0) {
        request_parse(&request, line);
        if (!text_of(&request, "op"))
            return 2;
        errno = 0;
        if (request_do(&request) != 0)
            printf("{\"error\": %d", errno);
        printf("}\n");
        fflush(stdout);
    }
    free(line);
    return 0;
}
