/* blocked KIND PATH [handler]: blocks in one call, after it said "ready". KIND: fifo (open for
 * reading), accept and connect (Unix), accept_port and connect_port (TCP; PATH is a port of
 * 127.0.0.1; connect's listener must be full). With a handler for SIGINT that restarts nothing it
 * says how the call ended. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void handle(int number)
{
    (void)number;
}

static int address_of(const char *kind, const char *path, struct sockaddr_storage *address,
                      socklen_t *length)
{
    if (strstr(kind, "_port")) {
        struct sockaddr_in *port = (struct sockaddr_in *)address;
        port->sin_family = AF_INET;
        port->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        port->sin_port = htons((unsigned short)atoi(path));
        *length = sizeof *port;
    } else {
        struct sockaddr_un *name = (struct sockaddr_un *)address;
        name->sun_family = AF_UNIX;
        snprintf(name->sun_path, sizeof name->sun_path, "%s", path);
        *length = sizeof *name;
    }
    return socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static void ready(void)
{
    printf("ready\n");
    fflush(stdout);
}

static int run(const char *kind, const char *path)
{
    struct sockaddr_storage address = {0};
    socklen_t length = 0;
    if (strcmp(kind, "fifo") == 0) {
        ready();
        return open(path, O_RDONLY);
    }
    int descriptor = address_of(kind, path, &address, &length);
    if (descriptor < 0)
        return -1;
    if (kind[0] == 'a') {
        int one = 1;
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (bind(descriptor, (struct sockaddr *)&address, length) != 0 ||
            listen(descriptor, 1) != 0)
            return -1;
        ready();
        return accept(descriptor, NULL, NULL);
    }
    /* Until the queue is full: the next one blocks. */
    for (int i = 0; i < 8; i++) {
        int more = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (connect(more, (struct sockaddr *)&address, length) != 0 && errno != EINPROGRESS &&
            errno != EAGAIN)
            return -1;
    }
    ready();
    return connect(descriptor, (struct sockaddr *)&address, length);
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = handle};
    if (argc < 3)
        return 2;
    if (argc > 3)
        sigaction(SIGINT, &action, NULL);
    int result = run(argv[1], argv[2]);
    printf("%s\n", result >= 0 ? "done" : errno == EINTR ? "EINTR" : strerror(errno));
    return result < 0;
}
