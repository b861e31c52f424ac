/* Translators for confined trees. What a confined program has started on its behalf must not have
 * more authority than it has itself: it is confined by the same policy, before its program begins.
 * The same step does it as for the tree's command, libexec/hirsel/enter; here init is what the
 * attendant is there. */
#include "servers/init/init.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fence/fence.h"
#include "servers/lib/entry.h"
#include "servers/lib/installed.h"
#include "servers/lib/passing.h"
#include "servers/lib/server.h"

struct confinement *confinement_find(const struct init *init, uint64_t space)
{
    struct confinement *confinement = init->confinements;

    while (confinement != NULL && confinement->space != space)
        confinement = confinement->next;
    return confinement;
}

int confinement_add(struct init *init, const struct root *root)
{
    struct confinement *confinement = confinement_find(init, root->space);

    if (root->policy == NULL)
        return 0;
    if (confinement == NULL) {
        confinement = calloc(1, sizeof *confinement);
        if (confinement == NULL)
            return ENOMEM;
        confinement->space = root->space;
        confinement->next = init->confinements;
        init->confinements = confinement;
    }
    /* The first one's, of several: they are the same but by the user's own mistake. */
    if (confinement->policy == NULL) {
        confinement->policy = malloc(root->policy_length);
        if (confinement->policy == NULL)
            return ENOMEM;
        memcpy(confinement->policy, root->policy, root->policy_length);
        confinement->policy_length = root->policy_length;
        confinement->best_effort = root->best_effort;
    }
    confinement->trees++;
    return 0;
}

void confinement_leave(struct init *init, const struct root *root)
{
    struct confinement *confinement = confinement_find(init, root->space);

    if (root->policy == NULL || confinement == NULL || confinement->trees == 0 ||
        --confinement->trees > 0)
        return;
    free(confinement->policy);
    confinement->policy = NULL;
}

void confinements_free(struct init *init)
{
    while (init->confinements != NULL) {
        struct confinement *confinement = init->confinements;

        init->confinements = confinement->next;
        free(confinement->policy);
        free(confinement);
    }
}

/* The tree's policy, and besides what a translator is made of: its program and the folder of its
 * node. */
static int policy_make(struct translator *translator, const char *program)
{
    static const char *const variables[] = {"HIRSEL_NODE_DIRECTORY", "HIRSEL_NODE_PATH"};
    const struct confinement *confinement = translator->confinement;
    struct fence_policy policy = {0};
    char own[PATH_MAX];
    int error = fence_policy_unpack(&policy, confinement->policy, confinement->policy_length);

    if (error == 0)
        error = path_make(own, sizeof own, "%s/nodes/%llu", translator->init->directory,
                          (unsigned long long)translator->id);
    if (error == 0)
        error = fence_policy_add_path(&policy, own, FENCE_READ | FENCE_WRITE);
    if (error == 0)
        error = fence_policy_add_path(&policy, program, FENCE_READ | FENCE_EXECUTE);
    for (size_t i = 0; i < sizeof variables / sizeof variables[0] && error == 0; i++)
        error = fence_policy_add_variable(&policy, variables[i]);
    if (error == 0)
        error = fence_policy_pack(&policy, &translator->policy, &translator->policy_length);
    fence_policy_clear(&policy);
    return error;
}

/* enter's words before the command's own. Takes *words over. */
static int words_prepend(char ***words)
{
    char enter[PATH_MAX], control[16];
    size_t count = 0;
    char **longer;
    int error = installed_path(2, "libexec/hirsel/enter", enter, sizeof enter);

    if (error != 0)
        return error;
    while ((*words)[count] != NULL)
        count++;
    longer = calloc(count + 3, sizeof(char *));
    snprintf(control, sizeof control, "%d", SERVER_CONTROL_DESCRIPTOR);
    if (longer != NULL) {
        longer[0] = strdup(enter);
        longer[1] = strdup(control);
    }
    if (longer == NULL || longer[0] == NULL || longer[1] == NULL) {
        if (longer != NULL) {
            free(longer[0]);
            free(longer[1]);
        }
        free(longer);
        return ENOMEM;
    }
    memcpy(longer + 2, *words, count * sizeof(char *));
    free(*words);
    *words = longer;
    return 0;
}

static uint32_t plan_flags(const struct translator *translator)
{
    const struct confinement *confinement = translator->confinement;

    return (confinement->untrapped ? 0u : ENTRY_FILTER) |
           entry_space_flags(translator->init->directory, confinement->space) |
           (confinement->best_effort ? ENTRY_BEST_EFFORT : 0u);
}

int confined_prepare(struct translator *translator, char ***words, int *control)
{
    int ends[2];
    int error;

    if (translator->confinement->policy == NULL)
        return EPERM;
    error = policy_make(translator, (*words)[0]);
    if (error == 0)
        error = words_prepend(words);
    if (error == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        error = errno;
    if (error != 0)
        return error;
    translator->entry = ends[0];
    *control = ends[1];
    return entry_plan_send(ends[0], plan_flags(translator), translator->policy,
                           translator->policy_length);
}

void confined_close(struct translator *translator)
{
    if (translator->entry < 0)
        return;
    ev_io_stop(translator->init->loop, &translator->entry_watcher);
    close(translator->entry);
    translator->entry = -1;
}

/* It must not go on; its end tells fs. */
static void confined_fail(struct translator *translator, int error)
{
    log_line("translator %s (%llu) can't be confined: %s", translator->name,
             (unsigned long long)translator->id, strerror(error));
    confined_close(translator);
    translator_settled(translator, error);
    kill(translator->child.pid, SIGKILL);
}

static void listener_settled(void *context, int error)
{
    struct translator *translator = context;

    if (error != 0)
        confined_fail(translator, error);
    else if (translator->entry >= 0)
        entry_word_send(translator->entry, true);
}

static void report_run(struct translator *translator, const struct entry_report *report,
                       int listener)
{
    bool best_effort = translator->confinement->best_effort;

    switch (report->kind) {
    case ENTRY_LISTENER:
        if (listener >= 0)
            trapped_add_own(translator, fcntl(listener, F_DUPFD_CLOEXEC, 0), listener_settled);
        else
            confined_fail(translator, EBADMSG);
        break;
    case ENTRY_UNFILTERED:
        if (best_effort)
            entry_word_send(translator->entry, false);
        else
            confined_fail(translator, report->value);
        break;
    case ENTRY_UNFENCED:
        if (best_effort)
            entry_word_send(translator->entry, false);
        else
            confined_fail(translator, EOPNOTSUPP);
        break;
    default:
        confined_fail(translator, report->value > 0 ? report->value : EIO);
        break;
    }
}

void confined_read(struct translator *translator)
{
    struct entry_report report;
    int passed;

    while (translator->entry >= 0) {
        ssize_t length = passing_receive(translator->entry, &report, sizeof report, &passed);
        int error = errno;

        if (length == sizeof report)
            report_run(translator, &report, passed);
        if (passed >= 0)
            close(passed);
        if (length == sizeof report)
            continue;
        if (length < 0 && (error == EAGAIN || error == EINTR))
            return;
        /* It has become its program; or it ended, which its parent hears by itself. */
        confined_close(translator);
        if (translator->child.pid > 0)
            translator_settled(translator, 0);
    }
}

static void entry_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    confined_read(watcher->data);
}

void confined_watch(struct translator *translator)
{
    ev_io_init(&translator->entry_watcher, entry_readable, translator->entry, EV_READ);
    translator->entry_watcher.data = translator;
    ev_io_start(translator->init->loop, &translator->entry_watcher);
}
