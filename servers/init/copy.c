/* The patched copy of the system's libc: made once for each libc and each shim, kept in the user's
 * cache, found by programs through the door (spaces/ID/lib). */
#include "servers/init/init.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "servers/lib/door.h"
#include "servers/lib/installed.h"
#include "servers/lib/server.h"
#include "shim/patch/status.h"

#define COPY_PREFIX "hirsel-libc-"
#define SHIM "lib/hirsel/shim.so"
#define TOOL_TIMEOUT_MS 20000
/* A copy that no session used for so long is of a libc or a shim that was replaced. */
#define UNUSED_SECONDS (14 * 24 * 3600)

/* The system's libc: the one that init itself runs with. Inside another session that one is a copy
 * already; then the one beside the dynamic linker. Their names: what is there may be replaced. */
static int original_find(struct libc *libc)
{
    Dl_info own, linker;
    char path[PATH_MAX];
    bool known;

    if (dladdr((void *)getauxval(AT_BASE), &linker) == 0 || linker.dli_fname == NULL ||
        realpath(linker.dli_fname, libc->linker) == NULL)
        return ENOENT;
    known = dladdr((void *)(uintptr_t)getauxval, &own) != 0 && own.dli_fname != NULL &&
            realpath(own.dli_fname, path) != NULL;
    if (known && strncmp(strrchr(path, '/') + 1, COPY_PREFIX, strlen(COPY_PREFIX)) != 0)
        return path_make(libc->original, sizeof libc->original, "%s", own.dli_fname);
    return path_make(libc->original, sizeof libc->original, "%.*s/libc.so.6",
                     (int)(strrchr(libc->linker, '/') - libc->linker), libc->linker);
}

static uint64_t text_hash(const char *text)
{
    uint64_t hash = 14695981039346656037u;

    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    return hash;
}

/* The copy's name says what it was made of. */
static int copy_name(const char *original, const char *shim, char *name, size_t size)
{
    struct stat libc_status, shim_status;
    char made_of[PATH_MAX + 64];
    int error;

    if (stat(original, &libc_status) != 0 || stat(shim, &shim_status) != 0)
        return errno;
    error = path_make(made_of, sizeof made_of, "%s %lld.%09ld %lld", shim,
                      (long long)shim_status.st_mtim.tv_sec, shim_status.st_mtim.tv_nsec,
                      (long long)shim_status.st_size);
    if (error != 0)
        return error;
    return path_make(
        name, size, COPY_PREFIX "%llx-%llx-%llx.%lx-%llx-%016llx",
        (unsigned long long)libc_status.st_dev, (unsigned long long)libc_status.st_ino,
        (unsigned long long)libc_status.st_mtim.tv_sec, (unsigned long)libc_status.st_mtim.tv_nsec,
        (unsigned long long)libc_status.st_size, (unsigned long long)text_hash(made_of));
}

static bool own_alone(const char *path, mode_t type)
{
    struct stat status;

    return lstat(path, &status) == 0 && (status.st_mode & S_IFMT) == type &&
           status.st_uid == geteuid() && (status.st_mode & 022) == 0;
}

static int directory_make(char *path)
{
    /* The user's cache directory may not exist yet, nor the one above it. */
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        int made;

        *slash = '\0';
        made = mkdir(path, 0700);
        *slash = '/';
        if (made != 0 && errno != EEXIST)
            return errno;
    }
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return errno;
    return own_alone(path, S_IFDIR) ? 0 : EPERM;
}

/* Run a tool in this directory and wait, a bounded time. 0 if it ended with status 0; the
 * errno that it ended with (PATCH_STATUS_ERRNO); ENOEXEC. */
static int tool_run(const char *directory, char **arguments, char **environment)
{
    pid_t pid = fork();
    struct pollfd watched = {.events = POLLIN};
    int status;

    if (pid < 0)
        return errno;
    if (pid == 0) {
        sigset_t none;

        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        if (chdir(directory) == 0)
            execve(arguments[0], arguments, environment);
        _exit(PATCH_STATUS_ERRNO + errno);
    }
    watched.fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (watched.fd >= 0) {
        int count;

        do
            count = poll(&watched, 1, TOOL_TIMEOUT_MS);
        while (count < 0 && errno == EINTR);
        if (count == 0)
            kill(pid, SIGKILL);
        close(watched.fd);
    }
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return errno;
    if (WIFEXITED(status) && WEXITSTATUS(status) > PATCH_STATUS_ERRNO)
        return WEXITSTATUS(status) - PATCH_STATUS_ERRNO;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : ENOEXEC;
}

/* Does a program start with this copy as its libc? ld.so takes blanks and colons in a variable as
 * the ends of names, and either may be in the path of the user's cache: it is named from there. */
int copy_try(const char *copy)
{
    char program[PATH_MAX], preload[PATH_MAX], directory[PATH_MAX];
    char *arguments[] = {program, (char *)"--check", NULL};
    char *environment[] = {preload, NULL};
    const char *name = strrchr(copy, '/') + 1;
    int error = installed_path(2, "libexec/hirsel/enter", program, sizeof program);

    if (error == 0)
        error = path_make(preload, sizeof preload, "LD_PRELOAD=./%s", name);
    if (error == 0)
        error = path_make(directory, sizeof directory, "%.*s", (int)(name - copy), copy);
    return error != 0 ? error : tool_run(directory, arguments, environment);
}

static void unused_remove(const char *directory)
{
    DIR *cache = opendir(directory);
    struct dirent *entry;
    time_t now = time(NULL);

    if (cache == NULL)
        return;
    while ((entry = readdir(cache)) != NULL) {
        struct stat status;

        if (strncmp(entry->d_name, COPY_PREFIX, strlen(COPY_PREFIX)) == 0 &&
            fstatat(dirfd(cache), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            status.st_mtime + UNUSED_SECONDS < now)
            unlinkat(dirfd(cache), entry->d_name, 0);
    }
    closedir(cache);
}

/* Make the copy under a name of one's own, try it, and only then give it its name: sessions that
 * start at the same time make the same thing, and the last rename wins. */
static int copy_patch(const char *original, const char *shim, const char *directory,
                      const char *copy)
{
    char tool[PATH_MAX], temporary[PATH_MAX];
    char *arguments[] = {tool, (char *)original, temporary, (char *)shim, NULL};
    int error = installed_path(2, "libexec/hirsel/patch-libc", tool, sizeof tool);

    if (error == 0)
        error = path_make(temporary, sizeof temporary, "%s.%d", copy, getpid());
    if (error != 0)
        return error;
    if (access(tool, X_OK) != 0)
        return errno;
    unlink(temporary);
    error = tool_run("/", arguments, environ);
    if (error == 0)
        error = copy_try(temporary);
    if (error == 0 && rename(temporary, copy) != 0)
        error = errno;
    if (error != 0)
        unlink(temporary);
    else
        unused_remove(directory);
    return error;
}

static int copy_ensure(const char *original, const char *shim, char *directory, const char *name,
                       char *copy, size_t size)
{
    int error = directory_make(directory);

    if (error == 0)
        error = path_make(copy, size, "%s/%s", directory, name);
    if (error != 0)
        return error;
    if (own_alone(copy, S_IFREG)) {
        utimensat(AT_FDCWD, copy, NULL, 0);
        return 0;
    }
    return copy_patch(original, shim, directory, copy);
}

/* The user's cache, or, failing that, the session's own directory. */
static int copy_place(const struct init *init, bool cache, char *directory, size_t size)
{
    const char *xdg = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");

    if (!cache)
        return path_make(directory, size, "%s/state/libc", init->directory);
    if (xdg != NULL && xdg[0] == '/')
        return path_make(directory, size, "%s/hirsel", xdg);
    if (home != NULL && home[0] == '/')
        return path_make(directory, size, "%s/.cache/hirsel", home);
    return ENOENT;
}

int copy_make(const struct init *init, char *copy, size_t size)
{
    char original[PATH_MAX], shim[PATH_MAX], name[256], directory[PATH_MAX];
    int error = realpath(init->libc.original, original) == NULL ? errno : 0;

    if (error == 0)
        error = installed_path(2, SHIM, shim, sizeof shim);
    if (error == 0)
        error = copy_name(original, shim, name, sizeof name);
    if (error != 0)
        return error;
    error = copy_place(init, true, directory, sizeof directory);
    if (error == 0)
        error = copy_ensure(original, shim, directory, name, copy, size);
    if (error != 0) {
        log_line("no libc copy in the cache: %s; making it in the session", strerror(error));
        error = copy_place(init, false, directory, sizeof directory);
        if (error == 0)
            error = copy_ensure(original, shim, directory, name, copy, size);
    }
    return error;
}

static void copy_missing_say(struct init *init, int error)
{
    static const char result[] = "programs see the session by the trap server alone, more slowly";
    char shim[PATH_MAX];

    if (installed_path(2, SHIM, shim, sizeof shim) == 0 && access(shim, R_OK) != 0)
        incomplete_add(init, "%s: the shim (%s): %s", result, shim, strerror(errno));
    else if (error == ENOEXEC)
        incomplete_add(init, "%s: %s can't be patched", result, init->libc.original);
    else
        incomplete_add(init, "%s: no copy of %s: %s", result, init->libc.original, strerror(error));
}

void copy_begin(struct init *init)
{
    char copy[PATH_MAX], door[PATH_MAX];
    int error = original_find(&init->libc);

    if (error == 0) {
        libc_identify(&init->libc, &init->libc.identity);
        error = copy_make(init, copy, sizeof copy);
    }
    if (error == 0)
        error = path_make(door, sizeof door, "%s/spaces/0", init->directory);
    if (error == 0)
        error = door_make(door, copy);
    if (error != 0)
        copy_missing_say(init, error);
}
