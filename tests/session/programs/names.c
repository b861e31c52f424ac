/* names looks FOLDER | names acts FOLDER PROGRAM: what a program sees of the place that 45_trap.sh
 * makes, a line each: "what: outcome". looks only looks; acts changes things, goes into folders and
 * runs PROGRAM. Built statically with two C libraries, and with -DNAMES_RAW so that every call on a
 * path is a syscall(2). */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[PATH_MAX];

static const char *error_name(void)
{
    static const struct {
        int number;
        const char *name;
    } names[] = {
        {ENOENT, "ENOENT"},       {EACCES, "EACCES"},         {EROFS, "EROFS"},
        {EXDEV, "EXDEV"},         {EEXIST, "EEXIST"},         {ENOTDIR, "ENOTDIR"},
        {EISDIR, "EISDIR"},       {ELOOP, "ELOOP"},           {EPERM, "EPERM"},
        {ENOEXEC, "ENOEXEC"},     {EOPNOTSUPP, "EOPNOTSUPP"}, {EBADF, "EBADF"},
        {ENOTEMPTY, "ENOTEMPTY"}, {EINVAL, "EINVAL"},         {EBUSY, "EBUSY"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].number == errno)
            return names[i].name;
    return strerror(errno);
}

/* ---- the calls: libc's functions, or bare ones ---- */

#ifdef NAMES_RAW
static int call_open(int at, const char *path, int flags, mode_t mode)
{
    return (int)syscall(SYS_openat, at, path, flags, mode);
}

static int call_stat(const char *path, struct stat *status, int flags)
{
    return (int)syscall(flags ? SYS_lstat : SYS_stat, path, status);
}

static int call_access(const char *path, int mode)
{
    return (int)syscall(SYS_access, path, mode);
}

static ssize_t call_readlink(const char *path, char *text, size_t size)
{
    return syscall(SYS_readlink, path, text, size);
}

static int call_chdir(const char *path)
{
    return (int)syscall(SYS_chdir, path);
}

static int call_getcwd(char *text, size_t size)
{
    return syscall(SYS_getcwd, text, size) < 0 ? -1 : 0;
}

static int call_mkdir(const char *path)
{
    return (int)syscall(SYS_mkdir, path, 0777);
}

static int call_rename(const char *from, const char *to)
{
    return (int)syscall(SYS_rename, from, to);
}

static int call_unlink(const char *path)
{
    return (int)syscall(SYS_unlink, path);
}

static int call_rmdir(const char *path)
{
    return (int)syscall(SYS_rmdir, path);
}

static int call_link(const char *from, const char *to)
{
    return (int)syscall(SYS_link, from, to);
}

static int call_symlink(const char *text, const char *path)
{
    return (int)syscall(SYS_symlink, text, path);
}

static int call_chmod(const char *path, mode_t mode)
{
    return (int)syscall(SYS_chmod, path, mode);
}

static int call_truncate(const char *path, off_t size)
{
    return (int)syscall(SYS_truncate, path, size);
}

static int call_exec(const char *path, char *const *words, char *const *environment)
{
    return (int)syscall(SYS_execve, path, words, environment);
}
#else
static int call_open(int at, const char *path, int flags, mode_t mode)
{
    return openat(at, path, flags, mode);
}

static int call_stat(const char *path, struct stat *status, int flags)
{
    return flags ? lstat(path, status) : stat(path, status);
}

static int call_access(const char *path, int mode)
{
    return access(path, mode);
}

static ssize_t call_readlink(const char *path, char *text, size_t size)
{
    return readlink(path, text, size);
}

static int call_chdir(const char *path)
{
    return chdir(path);
}

static int call_getcwd(char *text, size_t size)
{
    return getcwd(text, size) ? 0 : -1;
}

static int call_mkdir(const char *path)
{
    return mkdir(path, 0777);
}

static int call_rename(const char *from, const char *to)
{
    return rename(from, to);
}

static int call_unlink(const char *path)
{
    return unlink(path);
}

static int call_rmdir(const char *path)
{
    return rmdir(path);
}

static int call_link(const char *from, const char *to)
{
    return link(from, to);
}

static int call_symlink(const char *text, const char *path)
{
    return symlink(text, path);
}

static int call_chmod(const char *path, mode_t mode)
{
    return chmod(path, mode);
}

static int call_truncate(const char *path, off_t size)
{
    return truncate(path, size);
}

static int call_exec(const char *path, char *const *words, char *const *environment)
{
    return execve(path, words, environment);
}
#endif

/* ---- telling ---- */

static void tell(const char *what, const char *path, int failed)
{
    printf("%s %s: %s\n", what, path, failed ? error_name() : "done");
}

/* A path without the part that is the test's own folder. */
static const char *own(const char *path)
{
    size_t length = strlen(folder);
    if (strncmp(path, folder, length) != 0)
        return path;
    return path[length] == '/' ? path + length + 1 : "HERE";
}

static void tell_read(int at, const char *path)
{
    char text[256];
    int descriptor = call_open(at, path, O_RDONLY | O_CLOEXEC, 0);
    ssize_t length = descriptor < 0 ? -1 : read(descriptor, text, sizeof text - 1);
    if (length < 0) {
        printf("read %s: %s\n", path, error_name());
    } else {
        text[length] = '\0';
        text[strcspn(text, "\n")] = '\0';
        printf("read %s: %s\n", path, text);
    }
    if (descriptor >= 0)
        close(descriptor);
}

static void tell_stat(const char *path)
{
    struct stat status, opened;
    if (call_stat(path, &status, 0) != 0) {
        printf("stat %s: %s\n", path, error_name());
        return;
    }
    int descriptor = call_open(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    const char *same = "is what is opened";
    if (descriptor < 0 || fstat(descriptor, &opened) != 0 || opened.st_ino != status.st_ino ||
        opened.st_dev != status.st_dev || opened.st_mode != status.st_mode)
        same = "is not what is opened";
    if (descriptor >= 0)
        close(descriptor);
    if (S_ISDIR(status.st_mode))
        printf("stat %s: a folder\n", path);
    else
        printf("stat %s: %lld bytes, %o, %s\n", path, (long long)status.st_size,
               status.st_mode & 07777, same);
}

static void tell_link(const char *path)
{
    char text[PATH_MAX];
    struct stat status;
    ssize_t length = call_readlink(path, text, sizeof text - 1);
    if (length < 0 || call_stat(path, &status, AT_SYMLINK_NOFOLLOW) != 0) {
        printf("link %s: %s\n", path, error_name());
        return;
    }
    text[length] = '\0';
    printf("link %s: %s, %s\n", path, own(text), S_ISLNK(status.st_mode) ? "a symlink" : "none");
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void tell_list(int at, const char *path)
{
    char *names[64];
    size_t count = 0;
    int descriptor = call_open(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    DIR *stream = descriptor < 0 ? NULL : fdopendir(descriptor);
    if (!stream) {
        printf("list %s: %s\n", path, error_name());
        return;
    }
    errno = 0;
    for (struct dirent *entry; count < 64 && (entry = readdir(stream));)
        if (entry->d_name[0] != '.')
            names[count++] = strdup(entry->d_name);
    int error = errno;
    closedir(stream);
    qsort(names, count, sizeof *names, by_name);
    printf("list %s:", path);
    for (size_t i = 0; i < count; i++) {
        printf(" %s", names[i]);
        free(names[i]);
    }
    errno = error;
    printf("%s\n", error ? error_name() : "");
}

static void tell_here(void)
{
    char name[PATH_MAX], link[PATH_MAX];
    ssize_t length;
    if (call_getcwd(name, sizeof name) != 0) {
        printf("here: %s\n", error_name());
        return;
    }
    length = call_readlink("/proc/self/cwd", link, sizeof link - 1);
    link[length < 0 ? 0 : length] = '\0';
    printf("here: %s%s\n", own(name),
           strcmp(name, link) == 0 ? "" : ", and /proc/self/cwd says otherwise");
}

static void tell_write(const char *path, int flags, const char *text)
{
    int descriptor = call_open(AT_FDCWD, path, O_WRONLY | O_CLOEXEC | flags, 0666);
    int failed = descriptor < 0 || write(descriptor, text, strlen(text)) < 0;
    tell("write", path, failed);
    if (descriptor >= 0)
        close(descriptor);
}

static void tell_run(const char *path, const char *argument)
{
    char *words[] = {(char *)path, (char *)argument, NULL};
    char *environment[] = {"LC_ALL=C", NULL};
    int status;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        call_exec(path, words, environment);
        printf("run %s: %s\n", own(path), error_name());
        fflush(stdout);
        _exit(0);
    }
    waitpid(child, &status, 0);
    if (status)
        printf("run %s: ended with %d\n", own(path), WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

/* ---- the two parts ---- */

static void looks(void)
{
    tell_read(AT_FDCWD, "greet");
    tell_read(AT_FDCWD, "node/tree/f1");
    tell_read(AT_FDCWD, "node/none");
    tell_read(AT_FDCWD, "bound/place/x");
    tell_read(AT_FDCWD, "bound_file");
    tell_read(AT_FDCWD, "hidden/x");
    tell_read(AT_FDCWD, "hidden_file");
    tell_read(AT_FDCWD, "way/f2");
    tell_read(AT_FDCWD, "node/tree/inner");
    tell_read(AT_FDCWD, "plain");
    tell_stat("node/tree/f1");
    tell_stat("node/tree");
    tell_stat("bound/place");
    tell_stat("bound/place/x");
    tell_stat("bound_file");
    tell_stat("hidden");
    tell_stat("plain");
    tell_link("node/tree/inner");
    tell_link("way");
    tell("access", "node/tree/f1", call_access("node/tree/f1", R_OK));
    tell("access", "hidden_file", call_access("hidden_file", F_OK));
    tell_list(AT_FDCWD, ".");
    tell_list(AT_FDCWD, "node/tree");
    tell_list(AT_FDCWD, "bound/place");
    tell_list(AT_FDCWD, "bound");
    tell_list(AT_FDCWD, "hidden");
    int descriptor = call_open(AT_FDCWD, "node/tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (descriptor >= 0) {
        tell_read(descriptor, "f3");
        tell_list(descriptor, "sub");
        close(descriptor);
    }
}

static void acts(const char *program)
{
    char path[2 * PATH_MAX];
    tell_write("node/tree/f1", 0, "x");
    tell_write("node/tree/new", O_CREAT, "x");
    tell_write("bound/place/new", O_CREAT | O_EXCL, "new");
    tell_write("bound/place/new", O_CREAT | O_EXCL, "new");
    tell_read(AT_FDCWD, "bound/target/new");
    tell("chmod", "bound/place/new", call_chmod("bound/place/new", 0640));
    tell("truncate", "bound/place/new", call_truncate("bound/place/new", 2));
    tell_stat("bound/place/new");
    tell("mkdir", "bound/place/folder", call_mkdir("bound/place/folder"));
    tell("rename", "bound/place/new", call_rename("bound/place/new", "bound/place/folder/moved"));
    tell("rename", "bound/place/folder/moved to plain2",
         call_rename("bound/place/folder/moved", "plain2"));
    tell("rename", "node/tree/f1", call_rename("node/tree/f1", "plain2"));
    tell("link", "bound/place/folder/moved",
         call_link("bound/place/folder/moved", "bound/place/link"));
    tell("symlink", "bound/place/symlink",
         call_symlink("../../node/tree/f2", "bound/place/symlink"));
    tell_link("bound/place/symlink");
    tell_read(AT_FDCWD, "bound/place/symlink");
    tell_list(AT_FDCWD, "bound/target");
    tell("unlink", "bound/place/symlink", call_unlink("bound/place/symlink"));
    tell("unlink", "bound/place/link", call_unlink("bound/place/link"));
    tell("unlink", "bound/place/folder/moved", call_unlink("bound/place/folder/moved"));
    tell("rmdir", "bound/place/folder", call_rmdir("bound/place/folder"));
    tell("unlink", "node/tree/f1", call_unlink("node/tree/f1"));
    tell("unlink", "hidden_file", call_unlink("hidden_file"));
    tell("mkdir", "hidden", call_mkdir("hidden"));
    tell("rmdir", "bound/place", call_rmdir("bound/place"));

    tell("chdir", "bound/place", call_chdir("bound/place"));
    tell_here();
    tell_read(AT_FDCWD, "x");
    tell_read(AT_FDCWD, "../../plain");
    tell("chdir", "..", call_chdir(".."));
    tell_here();
    tell("chdir", "back", call_chdir(folder));
    tell("chdir", "node/tree/sub", call_chdir("node/tree/sub"));
    tell_here();
    tell_read(AT_FDCWD, "deep");
    tell_read(AT_FDCWD, "../f1");
    tell_list(AT_FDCWD, ".");
    tell("chdir", "..", call_chdir(".."));
    tell_here();
    tell("chdir", "back", call_chdir(folder));
    tell_here();
    tell("chdir", "hidden", call_chdir("hidden"));

    snprintf(path, sizeof path, "bound/place/%s", program);
    tell_run(path, "bound");
    snprintf(path, sizeof path, "%s/bound/place/%s", folder, program);
    tell_run(path, "bound, by its whole name");
    tell_run("bound/place/script", "script");
    tell_run("hidden/program", "hidden");
    tell_run(program, "of the host");
    tell_run("node/tree/program", "virtual");
}

int main(int argc, char **argv)
{
    if (argc == 2) {
        printf("run: %s\n", argv[1]);
        return 0;
    }
    if (argc < 3 || call_chdir(argv[2]) != 0 || !realpath(".", folder)) {
        fprintf(stderr, "names: looks FOLDER, or acts FOLDER PROGRAM\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOFBF, 65536);
    if (strcmp(argv[1], "looks") == 0)
        looks();
    else if (argc > 3)
        acts(argv[3]);
    return 0;
}
