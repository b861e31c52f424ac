/* hirsel list: the sessions that live; what dead ones left is removed on the way. */
#include "shell/named.h"
#include "shell/session.h"
#include "shell/shell.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "proto/init.pb-c.h"

/* A list must come even if one session's init hangs. */
#define ANSWER_TIMEOUT_MS 3000

static void live_print(struct session *session, const Hirsel__InitStatus *status)
{
    time_t started = (time_t)status->started_seconds;
    struct tm parts;
    char when[32];
    size_t translators = 0;

    for (size_t i = 0; i < status->n_servers; i++)
        translators += status->servers[i]->translator != 0;
    localtime_r(&started, &parts);
    strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &parts);
    printf("%-16s up since %s, init %u, %zu tree%s, %zu translator%s%s%s\n", session->name, when,
           status->pid, status->n_trees, status->n_trees == 1 ? "" : "s", translators,
           translators == 1 ? "" : "s", status->incomplete[0] != '\0' ? ", incomplete: " : "",
           status->incomplete);
}

static void session_print(struct session *session)
{
    ProtobufCMessage *answer = NULL;
    struct port *port;
    int error = session_reach(session, "init", ANSWER_TIMEOUT_MS, &port);

    if (error == 0)
        error = rpc_call(port, HIRSEL__INIT_OPERATION__INIT_STATUS, NULL, NULL, 0,
                         &hirsel__init_status__descriptor, &answer, NULL, ANSWER_TIMEOUT_MS);
    if (error == 0)
        live_print(session, (const Hirsel__InitStatus *)answer);
    else
        printf("%-16s starting, ending or not answering: %s\n", session->name, strerror(error));
    if (error == 0)
        rpc_free(answer);
    session_close(session);
}

static int entry_show(const char *base, const char *name)
{
    struct session session = {0};
    bool removed, killed;
    int error;

    memccpy(session.name, name, 0, SESSION_NAME_MAX);
    if ((size_t)snprintf(session.directory, sizeof session.directory, "%s/%s", base, name) >=
        sizeof session.directory)
        return 0;
    error = directory_clean(session.directory, &removed, &killed);
    if (error == ENOENT || error == ENOTDIR)
        return 0;
    if (killed && removed)
        printf("%s: init was killed; cleaned up\n", name);
    else if (error != 0)
        shell_say(error, "%s", session.directory);
    else if (!removed)
        session_print(&session);
    return error;
}

static int name_compare(const struct dirent **one, const struct dirent **other)
{
    return strcmp((*one)->d_name, (*other)->d_name);
}

static int name_fits(const struct dirent *entry)
{
    return session_name_valid(entry->d_name);
}

int command_list(int argc, char **argv)
{
    const char *only = named_parse(
        argc, argv, "List the sessions that live, and remove what killed ones left behind.", 0);
    char base[PATH_MAX];
    struct dirent **entries;
    int status = EXIT_SUCCESS;
    bool found = only == NULL;
    int count;

    if (session_base(base, sizeof base, false) != 0)
        return SHELL_FAILED;
    count = scandir(base, &entries, name_fits, name_compare);
    if (count < 0 && errno == ENOENT) {
        entries = NULL;
        count = 0;
    }
    if (count < 0) {
        shell_say(errno, "%s", base);
        return SHELL_FAILED;
    }
    for (int i = 0; i < count; i++) {
        if (only == NULL || strcmp(only, entries[i]->d_name) == 0) {
            found = true;
            if (entry_show(base, entries[i]->d_name) != 0)
                status = SHELL_FAILED;
        }
        free(entries[i]);
    }
    free(entries);
    if (!found) {
        shell_say(0, "there is no session '%s' (hirsel start %s makes it)", only, only);
        status = SHELL_FAILED;
    }
    return status;
}
