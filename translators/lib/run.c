/* A translator's main. */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "servers/lib/server.h"
#include "translators/lib/library.h"

/* All programs' requests come over the one connection of fs: many may be waiting. */
#define REPLIES_MAX 4096
/* What stays free on the session's file system. */
#define SPACE_MARGIN (64ull << 20)

struct library library = {
    .node_descriptor = -1,
    .tree_descriptor = -1,
    .own_descriptor = -1,
    .users_descriptor = -1,
    .held = TAILQ_HEAD_INITIALIZER(library.held),
};

struct ev_loop *translator_loop(void)
{
    return library.loop;
}

mode_t translator_mask(void)
{
    return library.mask;
}

uint64_t translator_space(void)
{
    struct statvfs space;
    uint64_t available;

    if (fstatvfs(library.node_descriptor, &space) != 0)
        return 0;
    available = (uint64_t)space.f_bavail * space.f_frsize;
    return available > SPACE_MARGIN ? available - SPACE_MARGIN : 0;
}

static void help_print(const struct translator *translator)
{
    printf("Usage: hirsel settrans [OPTION…] NODE %s%s%s\n%s\n", translator->name,
           translator->arguments ? " " : "", translator->arguments ? translator->arguments : "",
           translator->summary ? translator->summary : "");
    if (translator->help)
        printf("%s\n", translator->help);
}

static void description_print(const struct translator *translator)
{
    if (translator->device)
        printf("device %s\n", translator->device);
    else
        puts(translator->directory ? "directory" : "file");
}

static int arguments_read(int argc, char **argv)
{
    const struct translator *translator = library.translator;

    if (translator->configure)
        return translator->configure(argc, argv, &library.state);
    if (argc <= 1)
        return 0;
    fprintf(stderr, "%s: takes no arguments; see hirsel-%s(8)\n", translator->name,
            translator->name);
    return EINVAL;
}

static int directory_open(void)
{
    int listening = 0;
    socklen_t length = sizeof(listening);

    library.directory = getenv("HIRSEL_NODE_DIRECTORY");
    if (!library.directory || library.directory[0] != '/' ||
        getsockopt(LISTEN_DESCRIPTOR, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) != 0 ||
        !listening) {
        fprintf(stderr, "%s: is started by a session only; type: hirsel settrans NODE %s\n",
                library.translator->name, library.translator->name);
        return EINVAL;
    }
    fcntl(LISTEN_DESCRIPTOR, F_SETFD, FD_CLOEXEC);
    library.node_descriptor = open(library.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (library.node_descriptor < 0) {
        int error = errno;
        log_line("%s: %s", library.directory, strerror(error));
        return error;
    }
    return 0;
}

static void terminated(struct ev_loop *loop, ev_signal *watcher, int events)
{
    (void)watcher, (void)events;
    ev_break(loop, EVBREAK_ALL);
}

static void left(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)watcher, (void)events;
    ev_break(loop, EVBREAK_ALL);
}

void library_leave(void)
{
    /* Not at once: the answer may be in libmsg's queue. */
    ev_timer_init(&library.leave, left, 0.05, 0.);
    ev_timer_start(library.loop, &library.leave);
}

/* Sockets lie in a directory that only the user can enter; one that was passed on by descriptor
 * does not count. */
static int arrived(struct port *port, uint64_t *space, void *context)
{
    uid_t user = port_peer(port).uid;

    (void)space, (void)context;
    return user == geteuid() || user == 0 ? 0 : EPERM;
}

static int mirror_start(void)
{
    if (library.translator->device)
        return 0;
    return library.translator->directory ? tree_start() : file_start();
}

static int service_start(void)
{
    int error;

    library.loop = ev_default_loop(0);
    library.ports = library.loop ? port_set_new(library.loop) : NULL;
    if (!library.ports)
        return ENOMEM;
    port_set_limit(library.ports, 0, 0, REPLIES_MAX);
    if (library.translator->directory)
        users_start();
    error = mirror_start();
    if (error != 0) {
        log_line("%s: can't make the mirror: %s", library.directory, strerror(error));
        return error;
    }
    if (library.translator->start) {
        error = library.translator->start(library.state);
        if (error != 0)
            return error;
    }
    error = port_listen(library.ports, LISTEN_DESCRIPTOR, library_serve, NULL, &library.listener);
    if (error != 0) {
        log_line("can't listen: %s", strerror(error));
        return error;
    }
    listener_on_arrival(library.listener, arrived, NULL);
    if (library.translator->narrow) {
        error = narrow();
        if (error != 0)
            log_line("runs unnarrowed: %s", strerror(error));
    }
    return 0;
}

static int serve(void)
{
    ev_signal terminate;
    int error;

    /* SIGIO: somebody opens a file on which we hold a lease for a moment. */
    signal(SIGIO, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    library.mask = umask(077);
    error = service_start();
    if (error != 0)
        return 1;
    ev_signal_init(&terminate, terminated, SIGTERM);
    ev_signal_start(library.loop, &terminate);
    ev_run(library.loop, 0);
    port_set_free(library.ports);
    return 0;
}

int translator_run(int argc, char **argv, const struct translator *translator)
{
    bool describe = argc > 1 && strcmp(argv[1], "--describe") == 0;

    library.translator = translator;
    log_name(translator->name);
    /* Names are bytes; libraries that must know their encoding take UTF-8. */
    setlocale(LC_CTYPE, "C.UTF-8");
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        help_print(translator);
        return 0;
    }
    if (describe) {
        argv[1] = argv[0];
        argc--;
        argv++;
    }
    if (arguments_read(argc, argv) != 0)
        return 2;
    if (describe) {
        description_print(translator);
        return 0;
    }
    if (directory_open() != 0)
        return 1;
    return serve();
}
