/* Ways by objects that all programs of a host share and that have no place in the file tree. */
#include "tests/escape/escape.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

static void by_shared_memory(const struct outside *outside, struct trial *trial)
{
    int segment = shmget((key_t)outside->key, 4096, 0);
    const char *text;

    if (segment < 0 || (text = shmat(segment, NULL, 0)) == (void *)-1)
        tell_held(trial, "%s", strerror(errno));
    else if (strcmp(text, SECRET) == 0)
        tell_escaped(trial, "read the secret");
    else
        tell_escaped(trial, "attached to shared memory");
}

static void by_shared_memory_made(const struct outside *outside, struct trial *trial)
{
    int segment = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);

    (void)outside;
    tell_call(trial, segment, "made what others can find");
    if (segment >= 0)
        shmctl(segment, IPC_RMID, NULL);
}

static void by_semaphore(const struct outside *outside, struct trial *trial)
{
    int set = semget((key_t)outside->key, 1, 0);

    tell_call(trial, set < 0 ? -1 : semctl(set, 0, SETVAL, 0), "set a semaphore");
}

static void by_message(const struct outside *outside, struct trial *trial)
{
    struct {
        long type;
        char text[1];
    } message = {.type = 1, .text = "x"};
    int queue = msgget((key_t)outside->key, 0);

    tell_call(trial, queue < 0 ? -1 : msgsnd(queue, &message, 1, IPC_NOWAIT), "sent a message");
}

/* Every set that there is, without a name. */
static void by_list(const struct outside *outside, struct trial *trial)
{
    struct shmid_ds status;

    (void)outside;
    tell_call(trial, shmctl(0, SHM_STAT, &status), "told of shared memory");
}

static void by_named_queue(const struct outside *outside, struct trial *trial)
{
    char name[64];
    long queue;

    /* Without the slash that mq_open takes off. */
    snprintf(name, sizeof name, "hirsel-escape-%u", outside->key);
    queue = syscall(SYS_mq_open, name, O_WRONLY | O_NONBLOCK, 0, NULL);
    tell_call(trial, queue < 0 ? -1 : syscall(SYS_mq_timedsend, queue, "x", 1, 0, NULL),
              "sent a message");
}

static void by_key(const struct outside *outside, struct trial *trial)
{
    char name[64], text[64];
    long key;

    snprintf(name, sizeof name, "hirsel-escape-%u", outside->key);
    key = syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_USER_KEYRING, "user", name, 0);
    tell_call(trial, key < 0 ? -1 : syscall(SYS_keyctl, KEYCTL_READ, key, text, sizeof text),
              "read a key");
}

static void by_key_made(const struct outside *outside, struct trial *trial)
{
    long key;

    (void)outside;
    key = syscall(SYS_add_key, "user", "hirsel-escape-left", "x", 1, KEY_SPEC_USER_KEYRING);
    tell_call(trial, key, "left a key for others");
    if (key >= 0)
        syscall(SYS_keyctl, KEYCTL_UNLINK, key, KEY_SPEC_USER_KEYRING);
}

static void by_key_request(const struct outside *outside, struct trial *trial)
{
    char name[64];

    snprintf(name, sizeof name, "hirsel-escape-%u", outside->key);
    tell_call(trial, syscall(SYS_request_key, "user", name, NULL, KEY_SPEC_PROCESS_KEYRING),
              "found a key");
}

/* Shared memory by name is a file. */
static void by_memory_file(const struct outside *outside, struct trial *trial)
{
    char path[64];

    snprintf(path, sizeof path, "/dev/shm/hirsel-escape-%u", outside->key);
    tell_descriptor(trial, open(path, O_RDWR | O_CLOEXEC));
}

static void by_memory_file_made(const struct outside *outside, struct trial *trial)
{
    char path[80], others[64];
    int file;

    snprintf(others, sizeof others, "/dev/shm/hirsel-escape-%u", outside->key);
    snprintf(path, sizeof path, "%s-made", others);
    file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    /* The directory may be the confined tree's own. If not, what is made there is left to be found:
     * 47_confine.sh looks. */
    if (file >= 0 && access(others, F_OK) != 0) {
        tell_held(trial, "made it where nobody else looks");
        return;
    }
    tell_call(trial, file, "made what others can find");
    if (file >= 0)
        unlink(path);
}

static const struct way ways[] = {
    {"shm", by_shared_memory, true},
    {"shm-made", by_shared_memory_made, true},
    {"semaphore", by_semaphore, true},
    {"message-queue", by_message, true},
    {"shm-list", by_list, false},
    {"named-queue", by_named_queue, false},
    {"key-read", by_key, false},
    {"key-made", by_key_made, false},
    {"key-request", by_key_request, false},
    {"shm-file", by_memory_file, true},
    {"shm-file-made", by_memory_file_made, true},
};

const struct family family_objects = {"objects", ways, sizeof ways / sizeof ways[0]};
