/* The thread that a notification is of: its memory, its descriptors, what it is. */
#ifndef HIRSEL_TRAP_CLIENT_H
#define HIRSEL_TRAP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct client {
    pid_t tid;
    char process[24]; /* "/proc/TID" */
    int opener;       /* who opens its memory where we may not; -1: nobody */
    int memory;       /* what the opener gave, or -1 */
    bool unreadable;  /* its memory is nobody's to read */
    pid_t group;      /* its process, 0: not asked yet */
};

void client_begin(struct client *client, pid_t tid, int opener);
void client_end(struct client *client);

/* Have the user told that it starts a setuid program, by the opener; nobody waits for that. */
void client_tell(const struct client *client, const char *program);

/* Copy from and to its memory. 0, -EFAULT, -ESRCH, or -EPERM (unreadable). */
long client_read(struct client *client, void *to, uint64_t from, size_t length);
long client_write(struct client *client, uint64_t to, const void *from, size_t length);
/* A text with its NUL: its length; -ENAMETOOLONG where it has `size` bytes or more. */
long client_text(struct client *client, char *to, uint64_t from, size_t size);

/* Whether "/" is to it what it is to us: not where it has a mount name space or a root of its own.
 */
bool client_shares_root(const struct client *client);

/* A line of /proc/TID/status, as a number in `base`; -1 where there is none. */
long client_status(const struct client *client, const char *field, int base);
/* Its process's id, or -ESRCH. */
long client_group(struct client *client);
/* An O_PATH descriptor of what its descriptor is open on; AT_FDCWD: of its current directory. Where
 * its links in procfs may not be followed its tree's root is asked. -errno. */
int client_place(const struct client *client, int descriptor);
/* A duplicate of its descriptor: the same open file. -errno: -EPERM where that is not allowed. */
long client_descriptor(struct client *client, int descriptor);

#endif
