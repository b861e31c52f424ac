#include "servers/trap/homes.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "servers/lib/process.h"
#include "servers/lib/server.h"

/* What is known of a caller is forgotten sooner than its number can come again. */
#define KNOWN_NANOSECONDS 5000000
enum { KNOWN = 64 };

struct homes *homes_new(void)
{
    struct homes *homes = mmap(NULL, sizeof *homes, PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return homes == MAP_FAILED ? NULL : homes;
}

static void write_begin(struct homes *homes)
{
    __atomic_store_n(&homes->sequence, homes->sequence + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

static void write_end(struct homes *homes)
{
    __atomic_store_n(&homes->sequence, homes->sequence + 1, __ATOMIC_RELEASE);
}

static bool session_is_used(const struct homes *homes, uint32_t session)
{
    for (uint32_t i = 0; i < homes->count; i++)
        if (homes->homes[i].root != 0 && homes->homes[i].session == session)
            return true;
    return false;
}

/* The index + 1 of a session, taken if need be; 0: none is left. */
static uint32_t session_take(struct homes *homes, const char *session)
{
    for (uint32_t i = 0; i < JOINED_MAX; i++)
        if (strcmp(homes->joined[i], session) == 0)
            return i + 1;
    for (uint32_t i = 0; i < JOINED_MAX; i++) {
        if (session_is_used(homes, i + 1))
            continue;
        strcpy(homes->joined[i], session);
        return i + 1;
    }
    return 0;
}

int home_add(struct homes *homes, const struct home *home, const char *session)
{
    struct home added = *home;
    uint32_t at = 0;
    int error = 0;

    if (session != NULL && strlen(session) >= SESSION_LIMIT)
        return ENAMETOOLONG;
    while (at < homes->count && homes->homes[at].root != 0 && homes->homes[at].root != home->root)
        at++;
    if (at == HOMES_MAX)
        return ENOSPC;
    write_begin(homes);
    if (session != NULL) {
        added.session = session_take(homes, session);
        if (added.session == 0)
            error = ENOSPC;
    }
    if (error == 0) {
        homes->homes[at] = added;
        if (at == homes->count)
            homes->count++;
    }
    write_end(homes);
    return error;
}

void home_remove(struct homes *homes, pid_t root, uint64_t start_time)
{
    for (uint32_t i = 0; i < homes->count; i++) {
        if (homes->homes[i].root != root || homes->homes[i].start_time != start_time)
            continue;
        write_begin(homes);
        homes->homes[i].root = 0;
        while (homes->count > 0 && homes->homes[homes->count - 1].root == 0)
            homes->count--;
        write_end(homes);
        return;
    }
}

bool homes_any(const struct homes *homes, uint64_t listener)
{
    uint32_t count = __atomic_load_n(&homes->count, __ATOMIC_ACQUIRE);

    for (uint32_t i = 0; i < count && i < HOMES_MAX; i++)
        if (homes->homes[i].root != 0 && homes->homes[i].listener == listener)
            return true;
    return false;
}

static const struct home *home_at(const struct homes *homes, uint64_t listener, pid_t pid,
                                  uint64_t start_time)
{
    for (uint32_t i = 0; i < homes->count && i < HOMES_MAX; i++) {
        const struct home *home = &homes->homes[i];

        if (home->root == pid && home->start_time == start_time && home->listener == listener)
            return home;
    }
    return NULL;
}

/* Up the parents to a nested root, or to the listener's own. */
static const struct home *home_search(const struct homes *homes, uint64_t listener, pid_t root,
                                      pid_t tid)
{
    for (int depth = 0; depth < PROCESS_DEPTH_MAX && tid > 1 && tid != root; depth++) {
        const struct home *home;
        uint64_t start_time;
        pid_t parent;

        if (process_stat(tid, &parent, &start_time) != 0)
            return NULL;
        home = home_at(homes, listener, tid, start_time);
        if (home != NULL)
            return home;
        tid = parent;
    }
    return NULL;
}

static uint64_t now_get(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

bool home_of(const struct homes *homes, uint64_t listener, pid_t root, pid_t tid,
             struct home *found, char session[SESSION_LIMIT])
{
    /* A worker serves one listener for all its life. */
    static struct {
        pid_t tid;
        uint32_t sequence;
        uint64_t until;
        bool nested;
        struct home home;
    } known[KNOWN];
    size_t at = (size_t)tid % KNOWN;

    for (;;) {
        uint32_t sequence = __atomic_load_n(&homes->sequence, __ATOMIC_ACQUIRE);
        uint64_t now = now_get();

        if (sequence & 1)
            continue;
        if (known[at].tid != tid || known[at].sequence != sequence || known[at].until < now) {
            const struct home *home = home_search(homes, listener, root, tid);

            known[at].tid = tid;
            known[at].sequence = sequence;
            known[at].until = now + KNOWN_NANOSECONDS;
            known[at].nested = home != NULL;
            if (home != NULL)
                known[at].home = *home;
        }
        *found = known[at].home;
        session[0] = '\0';
        if (known[at].nested && found->session != 0 && found->session <= JOINED_MAX)
            memcpy(session, homes->joined[found->session - 1], SESSION_LIMIT);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (__atomic_load_n(&homes->sequence, __ATOMIC_RELAXED) == sequence)
            return known[at].nested;
    }
}
