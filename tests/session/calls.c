/* The corners of libc's file and process calls, each printed with its outcome: natively and in a
 * session the same text must come out (see 20_programs.sh). Runs in an empty folder. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <fts.h>
#include <glob.h>
#include <grp.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <wordexp.h>

extern char **environ;
static char start[PATH_MAX];

/* Print a call's outcome; descriptors' numbers are told too: they must be the natural ones. */
static long show(const char *what, long result)
{
    int error = errno;
    if (result < 0)
        printf("%s: %s\n", what, strerrorname_np(error));
    else
        printf("%s: %ld\n", what, result);
    errno = 0;
    return result;
}
#define SHOW(call) show(#call, (long)(call))

/* A path without the part that is the scratch folder's. */
static void show_path(const char *what, const char *path)
{
    if (path && strncmp(path, start, strlen(start)) == 0)
        printf("%s: HERE%s\n", what, path + strlen(start));
    else
        printf("%s: %s\n", what, path ? path : strerrorname_np(errno));
}

static void files(void)
{
    struct stat a, b;
    int fd, dir;
    SHOW(mkdir("d", 0750));
    SHOW(mkdir("d", 0750));
    SHOW(fd = open("d/f", O_CREAT | O_EXCL | O_WRONLY, 0666));
    SHOW(open("d/f", O_CREAT | O_EXCL | O_WRONLY, 0666));
    SHOW(write(fd, "hello\n", 6));
    SHOW(fstat(fd, &a));
    SHOW(stat("d/f", &b));
    printf("same: %d %d, mode %o, size %ld\n", a.st_dev == b.st_dev, a.st_ino == b.st_ino,
           a.st_mode, (long)a.st_size);
    SHOW(close(fd));
    SHOW(symlink("f", "d/l"));
    SHOW(symlink("nowhere", "d/dangling"));
    SHOW(symlink("loop2", "d/loop1"));
    SHOW(symlink("loop1", "d/loop2"));
    SHOW(symlink("../d", "d/up"));
    SHOW(symlink("d/", "trailing"));
    SHOW(lstat("d/l", &a));
    printf("link size %ld mode %o\n", (long)a.st_size, a.st_mode);
    SHOW(open("d/l", O_RDONLY | O_NOFOLLOW));
    SHOW(open("d/l/", O_RDONLY));
    SHOW(open("d/loop1", O_RDONLY));
    SHOW(open("d/dangling", O_RDONLY));
    SHOW(open("d/dangling", O_RDONLY | O_CREAT | O_EXCL, 0600));
    SHOW(fd = open("d/dangling", O_RDWR | O_CREAT, 0600));
    close(fd);
    SHOW(access("d/nowhere", F_OK));
    SHOW(stat("d/up/up/up/l", &a));
    SHOW(stat("trailing/f", &a));
    SHOW(lstat("trailing/", &a));
    printf("is a directory: %d\n", S_ISDIR(a.st_mode));
    SHOW(stat("d/f/", &a));
    SHOW(stat("d/f/..", &a));
    SHOW(stat("d/./../d//f", &a));
    SHOW(stat("", &a));
    SHOW(stat((char *)16, &a));
    SHOW(stat("d/f", (struct stat *)16));
    SHOW(open((char *)16, O_RDONLY));
    SHOW(open("d", O_WRONLY));
    SHOW(open("d", O_CREAT | O_RDONLY, 0600));
    SHOW(open("d", O_CREAT | O_DIRECTORY, 0600));
    SHOW(open("d/f", O_DIRECTORY));
    SHOW(dir = open("d", O_RDONLY | O_DIRECTORY));
    SHOW(openat(dir, "../d/../d/f", O_RDONLY));
    SHOW(openat(dir, "f", O_RDONLY | O_PATH));
    SHOW(openat(999, "f", O_RDONLY));
    SHOW(openat(3, "f", O_RDONLY | O_NOFOLLOW));
    SHOW(fstatat(dir, "l", &a, AT_SYMLINK_NOFOLLOW));
    SHOW(fstatat(dir, "", &a, AT_EMPTY_PATH));
    SHOW(fstatat(dir, "", &a, 0));
    SHOW(fstatat(dir, "l", &a, 0x40000000));
    SHOW(faccessat(dir, "f", R_OK | W_OK, AT_EACCESS));
    SHOW(faccessat(dir, "f", X_OK, 0));
    SHOW(linkat(dir, "l", dir, "hard_to_link", 0));
    SHOW(linkat(dir, "l", dir, "hard_to_file", AT_SYMLINK_FOLLOW));
    SHOW(lstat("d/hard_to_file", &a));
    printf("links %ld\n", (long)a.st_nlink);
    SHOW(link("d/f", "d/f"));
    SHOW(link("d", "d2"));
    SHOW(renameat(dir, "hard_to_file", AT_FDCWD, "moved"));
    SHOW(renameat2(dir, "f", AT_FDCWD, "moved", RENAME_NOREPLACE));
    SHOW(renameat2(dir, "hard_to_link", AT_FDCWD, "moved", RENAME_EXCHANGE));
    SHOW(rename("d", "d/inside"));
    SHOW(rename("moved", "d"));
    SHOW(rename("nothing", "d/x"));
    SHOW(rename("d/f", "/proc/self/x"));
    SHOW(unlink("d"));
    SHOW(rmdir("d"));
    SHOW(rmdir("d/."));
    SHOW(unlinkat(dir, "hard_to_link", 0));
    SHOW(unlinkat(dir, "l", AT_REMOVEDIR));
    SHOW(mkdirat(dir, "sub", 0700));
    SHOW(unlinkat(dir, "sub/", AT_REMOVEDIR));
    SHOW(mknodat(dir, "fifo", S_IFIFO | 0600, 0));
    SHOW(open("d/fifo", O_WRONLY | O_NONBLOCK));
    SHOW(mknod("d/device", S_IFCHR | 0600, 0x103));
    SHOW(fchmodat(dir, "f", 0604, 0));
    SHOW(fchmodat(dir, "l", 0604, AT_SYMLINK_NOFOLLOW));
    SHOW(chmod("d/f", 0640));
    SHOW(fchownat(dir, "l", (uid_t)-1, (gid_t)-1, AT_SYMLINK_NOFOLLOW));
    SHOW(lchown("d/l", (uid_t)-1, (gid_t)-1));
    struct timespec times[2] = {{1000, 5}, {2000, 7}};
    SHOW(utimensat(dir, "l", times, AT_SYMLINK_NOFOLLOW));
    SHOW(utimensat(dir, "f", times, 0));
    SHOW(utimes("d/f", NULL));
    SHOW(futimens(dir, times));
    SHOW(stat("d", &a));
    printf("times %ld.%ld %ld.%ld\n", a.st_atim.tv_sec, a.st_atim.tv_nsec, a.st_mtim.tv_sec,
           a.st_mtim.tv_nsec);
    SHOW(truncate("d/f", 3));
    SHOW(truncate("d", 3));
    SHOW(truncate("d/dangling", 100));
    SHOW(open(".", O_TMPFILE | O_RDWR, 0600) >= 0);
    fd = open("d", O_TMPFILE | O_RDWR, 0640);
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    SHOW(linkat(AT_FDCWD, name, AT_FDCWD, "d/linked", AT_SYMLINK_FOLLOW));
    struct statx sx;
    SHOW(statx(dir, "linked", 0, STATX_BASIC_STATS, &sx));
    printf("mode %o\n", sx.stx_mode);
    SHOW(statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &sx));
    SHOW(umask(077));
    SHOW(close(open("masked", O_CREAT | O_WRONLY, 0666)));
    SHOW(stat("masked", &a));
    printf("mode %o\n", a.st_mode);
    SHOW(umask(022));
    SHOW(setxattr("masked", "user.mark", "x", 1, 0));
    char value[64];
    SHOW(getxattr("masked", "user.mark", value, sizeof value));
    SHOW(listxattr("d/l", value, sizeof value));
    SHOW(getxattr("none", "user.mark", value, sizeof value));
    struct statvfs vfs;
    SHOW(statvfs("d/f", &vfs));
    SHOW(statvfs("none", &vfs));
    SHOW(pathconf("d", _PC_NAME_MAX));
    char text[PATH_MAX];
    ssize_t n = readlink("d/l", text, sizeof text);
    printf("readlink %.*s\n", (int)n, text);
    SHOW(readlink("d/l", text, 0));
    SHOW(readlink("d/f", text, sizeof text));
    SHOW(readlinkat(dir, "dangling", text, 3));
    SHOW(mkfifo("fifo2", 0600));
    SHOW(creat("created", 0600) >= 0);
    char longest[5000];
    memset(longest, 'x', sizeof longest);
    longest[300] = 0;
    SHOW(stat(longest, &a));
    longest[300] = 'x';
    longest[4999] = 0;
    SHOW(stat(longest, &a));
    for (size_t i = 0; i + 1 < sizeof longest - 1; i += 2)
        memcpy(longest + i, "./", 2);
    longest[4096] = 0;
    SHOW(stat(longest, &a));
    longest[4095] = 0;
    SHOW(stat(longest, &a));
    longest[4094] = 0;
    SHOW(stat(longest, &a));
    SHOW(stat("d/\xff\xfe\n", &a));
    SHOW(mkdir("d/\xff\xfe\n", 0700));
    SHOW(rmdir("d/\xff\xfe\n"));
}

static int order(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int visit(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st;
    printf("  nftw %s type %d level %d\n", path, type, where->level);
    return 0;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static void walks(void)
{
    SHOW(mkdir("w", 0700));
    SHOW(mkdir("w/a", 0700));
    SHOW(symlink("a", "w/s"));
    SHOW(creat("w/a/1", 0600) >= 0);
    SHOW(creat("w/a/2", 0600) >= 0);
    glob_t g;
    SHOW(glob("w/*/[12]", 0, NULL, &g));
    for (size_t i = 0; i < g.gl_pathc; i++)
        printf("  glob %s\n", g.gl_pathv[i]);
    globfree(&g);
    SHOW(glob("~/none/*", GLOB_TILDE, NULL, &g));
    SHOW(nftw("w/a", visit, 8, FTW_PHYS | FTW_DEPTH) == 0);
    SHOW(nftw("w/s", visit, 8, FTW_CHDIR) == 0);
    char *roots[] = {"w", NULL};
    FTS *fts = fts_open(roots, FTS_PHYSICAL, by_name);
    for (FTSENT *e; (e = fts_read(fts));)
        printf("  fts %s %d\n", e->fts_path, e->fts_info);
    fts_close(fts);
    struct dirent **list;
    int count = scandir("w/a", &list, NULL, alphasort);
    for (int i = 0; i < count; i++)
        printf("  scandir %s %d\n", list[i]->d_name, list[i]->d_type);
    DIR *d = opendir("w");
    SHOW(dirfd(d));
    char *names[16];
    int n = 0;
    struct stat st;
    for (struct dirent *e; (e = readdir(d));) {
        SHOW(fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW));
        names[n] = strdup(e->d_name);
        printf("  inode agrees: %d\n", strcmp(e->d_name, "..") == 0 || st.st_ino == e->d_ino);
        n++;
    }
    qsort(names, (size_t)n, sizeof *names, order);
    for (int i = 0; i < n; i++)
        printf("  readdir %s\n", names[i]);
    rewinddir(d);
    long where = telldir(d);
    printf("again: %d\n", readdir(d) != NULL);
    seekdir(d, where);
    closedir(d);
    errno = 0;
    SHOW(opendir("none") ? 0 : -1);
    SHOW(opendir("w/a/1") ? 0 : -1);
    char real[PATH_MAX];
    show_path("realpath", realpath("w/s/../s/1", real));
    show_path("realpath none", realpath("w/none/x", NULL));
    show_path("canonicalize", canonicalize_file_name("./w//a/../a"));
    char t[] = "tmpXXXXXX", t2[] = "w/dXXXXXX";
    SHOW(mkstemp(t) >= 0);
    SHOW(unlink(t));
    SHOW(mkdtemp(t2) ? 0 : -1);
    SHOW(rmdir(t2));
    FILE *f = fopen("w/a/1", "w+x");
    SHOW(f ? 0 : -1);
    f = fopen("w/a/3", "w+");
    fprintf(f, "text\n");
    f = freopen("w/a/3", "r", f);
    char line[32];
    printf("read %s", fgets(line, sizeof line, f));
    fclose(f);
    SHOW(remove("w/a/3"));
    SHOW(remove("w/a"));
    f = tmpfile();
    SHOW(f ? 0 : -1);
    fclose(f);
    wordexp_t words;
    SHOW(wordexp("w/a/* $HOME_IS_NOT", &words, 0));
    printf("  %zu words\n", words.we_wordc);
}

static void folders(void)
{
    char cwd[PATH_MAX];
    SHOW(mkdir("c", 0700));
    SHOW(mkdir("c/e", 0700));
    SHOW(symlink("c/e", "cs"));
    SHOW(chdir("cs"));
    show_path("cwd", getcwd(cwd, sizeof cwd));
    SHOW(chdir(".."));
    show_path("cwd", getcwd(cwd, sizeof cwd));
    SHOW(getcwd(cwd, 3) ? 0 : -1);
    int here = open(".", O_RDONLY);
    SHOW(chdir("none"));
    SHOW(chdir("/"));
    SHOW(fchdir(here));
    show_path("cwd", getcwd(NULL, 0));
    char name[64], text[PATH_MAX];
    snprintf(name, sizeof name, "/proc/self/fd/%d", here);
    ssize_t n = readlink(name, text, sizeof text - 1);
    text[n < 0 ? 0 : n] = 0;
    show_path("fd", text);
    n = readlink("/proc/self/cwd", text, sizeof text - 1);
    text[n < 0 ? 0 : n] = 0;
    show_path("cwd by proc", text);
    n = readlink("/proc/self/exe", text, sizeof text - 1);
    text[n < 0 ? 0 : n] = 0;
    show_path("exe", text);
    snprintf(name, sizeof name, "/proc/%d/exe", getpid());
    SHOW(access(name, X_OK));
    SHOW(rmdir("e"));
    SHOW(mkdir("e", 0700));
    SHOW(chdir("e"));
    SHOW(rmdir("../e"));
    SHOW(getcwd(cwd, sizeof cwd) ? 0 : -1);
    SHOW(open("x", O_CREAT | O_WRONLY, 0600));
    SHOW(open("..", O_RDONLY) >= 0);
    SHOW(chdir(".."));
    SHOW(chroot("/"));
    show_path("get_current_dir_name", get_current_dir_name());
    SHOW(chdir(start));
    close(here);
}

static void programs(void)
{
    char script[] = "#!/bin/sh\necho script $0 $1 $(pwd | wc -l)\n";
    int fd = open("script", O_CREAT | O_WRONLY, 0700);
    SHOW(write(fd, script, strlen(script)));
    close(fd);
    int status;
    pid_t pid;
    char *args[] = {"./script", "arg", NULL};
    SHOW(posix_spawn(&pid, "./script", NULL, NULL, args, environ));
    waitpid(pid, &status, 0);
    printf("status %d\n", status);
    SHOW(posix_spawn(&pid, "./none", NULL, NULL, args, environ));
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, "c");
    posix_spawn_file_actions_addopen(&actions, 5, "../script", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, 5, 0);
    char *cat[] = {"sh", "-c", "pwd | sed 's,.*/,,'; cat", NULL};
    SHOW(posix_spawnp(&pid, "sh", &actions, NULL, cat, environ));
    waitpid(pid, &status, 0);
    printf("status %d\n", status);
    FILE *p = popen("cat script | wc -l; exit 3", "r");
    char line[200];
    while (fgets(line, sizeof line, p))
        printf("popen %s", line);
    printf("pclose %d\n", pclose(p));
    fflush(stdout);
    SHOW(system("test -x script && ./script from system"));
    fflush(stdout);
    pid = vfork();
    if (pid == 0) {
        if (chdir("c") == 0)
            execl("../script", "../script", "vfork", (char *)NULL);
        _exit(9);
    }
    waitpid(pid, &status, 0);
    printf("vfork status %d\n", status);
    char cwd[PATH_MAX];
    show_path("cwd", getcwd(cwd, sizeof cwd));
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        char *nothing[] = {NULL};
        execve("/usr/bin/env", args, nothing);
        _exit(9);
    }
    waitpid(pid, &status, 0);
    printf("env -i status %d\n", status);
    pid = fork();
    if (pid == 0) {
        int script_fd = open("script", O_RDONLY);
        fexecve(script_fd, args, environ);
        _exit(errno == ENOENT ? 8 : 9);
    }
    waitpid(pid, &status, 0);
    printf("fexecve status %d\n", status);
    SHOW(execl("script/none", "x", (char *)NULL));
    SHOW(execl("c", "x", (char *)NULL));
    SHOW(execlp("no-such-program", "x", (char *)NULL));
    void *m = dlopen("libm.so.6", RTLD_NOW);
    double (*cosine)(double) = m ? (double (*)(double))dlsym(m, "cos") : NULL;
    printf("dlopen %d %f\n", m != NULL, cosine ? cosine(0) : -1);
    printf("dlopen none %d\n", dlopen("./none.so", RTLD_NOW) != NULL);
    Dl_info info;
    printf("dladdr of open %d\n", dladdr((void *)(long)&fopen, &info) != 0);
    struct passwd *pw = getpwuid(0);
    printf("getpwuid %s\n", pw ? pw->pw_name : "none");
    struct group *gr = getgrnam("root");
    printf("getgrnam %s\n", gr ? gr->gr_name : "none");
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_INET}, *found;
    SHOW(getaddrinfo("localhost", "http", &hints, &found));
    printf("port %d\n", ntohs(((struct sockaddr_in *)found->ai_addr)->sin_port));
    freeaddrinfo(found);
    printf("service %s\n", getservbyname("ssh", "tcp") ? "found" : "none");
}

static sigjmp_buf back;
static volatile sig_atomic_t opened;

static void on_alarm(int signal_number)
{
    (void)signal_number;
    struct stat st;
    int fd = open("script", O_RDONLY);
    if (fd >= 0 && stat("none", &st) < 0 && close(fd) == 0)
        opened++;
}

static void on_user(int signal_number)
{
    (void)signal_number;
    siglongjmp(back, 1);
}

static int cleaned;

static void clean(void *unused)
{
    (void)unused;
    cleaned = 1;
}

static void *open_for_ever(void *name)
{
    pthread_cleanup_push(clean, NULL);
    if (open(name, O_RDONLY) >= 0)
        printf("the fifo opened\n");
    pthread_cleanup_pop(0);
    return NULL;
}

static void *churn(void *argument)
{
    char name[32];
    long bad = 0;
    struct stat st;
    snprintf(name, sizeof name, "churn%ld", (long)argument);
    for (int i = 0; i < 300; i++) {
        int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);
        bad += fd < 0 || fstat(fd, &st) < 0 || close(fd) < 0 || unlink(name) < 0 ||
               stat(name, &st) == 0;
    }
    return (void *)bad;
}

static void threads(void)
{
    pthread_t one, many[8];
    void *result;
    SHOW(mkfifo("cancel", 0600));
    pthread_create(&one, NULL, open_for_ever, "cancel");
    usleep(50000);
    pthread_cancel(one);
    pthread_join(one, &result);
    printf("cancelled %d, cleaned %d\n", result == PTHREAD_CANCELED, cleaned);
    for (long i = 0; i < 8; i++)
        pthread_create(&many[i], NULL, churn, (void *)i);
    for (long i = 0; i < 8; i++) {
        pthread_join(many[i], &result);
        printf("churn %ld: %ld bad\n", i, (long)result);
    }
    struct sigaction act = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &act, NULL);
    struct itimerval often = {{0, 300}, {0, 300}}, never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &often, NULL);
    long bad = 0;
    struct stat st;
    for (int i = 0; i < 3000 || opened < 10; i++) {
        int fd = open("script", O_RDONLY);
        bad += fd < 0 || stat("script", &st) < 0 || close(fd) < 0 || stat("none", &st) == 0 ||
               errno != ENOENT;
    }
    setitimer(ITIMER_REAL, &never, NULL);
    printf("in signal handlers: %d, %ld bad\n", opened >= 10, bad);
    signal(SIGUSR1, on_user);
    for (int i = 0; i < 3; i++)
        if (sigsetjmp(back, 1) == 0) {
            if (fork() == 0) {
                usleep(2000);
                kill(getppid(), SIGUSR1);
                _exit(0);
            }
            for (;;)
                close(open("none", O_RDONLY));
        } else {
            wait(NULL);
            printf("jumped out, stat %d\n", stat("script", &st));
        }
    act = (struct sigaction){.sa_handler = on_alarm};
    sigaction(SIGALRM, &act, NULL);
    /* Again and again: the first one may come before the open. */
    ualarm(20000, 20000);
    SHOW(open("cancel", O_RDONLY));
    ualarm(0, 0);
}

static void sockets(void)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "socket"}, name;
    socklen_t length = sizeof name;
    int s = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0);
    SHOW(connect(c, (struct sockaddr *)&un, sizeof un));
    SHOW(bind(s, (struct sockaddr *)&un, sizeof un));
    SHOW(bind(s, (struct sockaddr *)&un, sizeof un));
    SHOW(listen(s, 5));
    SHOW(connect(c, (struct sockaddr *)&un, sizeof un));
    int a = accept(s, NULL, NULL);
    SHOW(a >= 0);
    SHOW(getsockname(s, (struct sockaddr *)&name, &length));
    printf("named %s, %u\n", name.sun_path, length);
    length = sizeof name;
    SHOW(getpeername(c, (struct sockaddr *)&name, &length));
    printf("peer %s\n", name.sun_path);
    int pair[2];
    SHOW(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    SHOW(send(pair[0], "x", 1, 0));
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, got;
    length = sizeof got;
    int t = socket(AF_INET, SOCK_STREAM, 0);
    SHOW(bind(t, (struct sockaddr *)&in, sizeof in));
    SHOW(listen(t, 1));
    SHOW(getsockname(t, (struct sockaddr *)&got, &length));
    printf("address %x\n", ntohl(got.sin_addr.s_addr));
    int u = socket(AF_INET, SOCK_STREAM, 0);
    SHOW(connect(u, (struct sockaddr *)&got, sizeof got));
    SHOW(accept4(t, (struct sockaddr *)&got, &length, SOCK_CLOEXEC) >= 0);
    printf("peer %x\n", ntohl(got.sin_addr.s_addr));
    int watch = inotify_init1(IN_NONBLOCK);
    SHOW(inotify_add_watch(watch, ".", IN_CREATE));
    SHOW(inotify_add_watch(watch, "none", IN_CREATE));
    SHOW(creat("watched", 0600) >= 0);
    char buffer[512];
    printf("an event: %d\n", read(watch, buffer, sizeof buffer) > 0);
    for (int fd = 3; fd < 256; fd++)
        close(fd);
    SHOW(open("script", O_RDONLY));
    closefrom(3);
    SHOW(stat("script", &(struct stat){0}));
}

int main(void)
{
    if (!getcwd(start, sizeof start))
        return 1;
    umask(022);
    files();
    walks();
    folders();
    programs();
    threads();
    sockets();
    return 0;
}
