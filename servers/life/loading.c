/* What is known of translators from a former life of the server. */
#include "servers/life/internal.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "servers/lib/server.h"

static void entries_check(struct life *life)
{
    for (struct space *space = life->names->spaces; space; space = space->next) {
        for (size_t i = space->entries.count; i-- > 0;) {
            const struct entry *entry = &space->entries.items[i];
            if (entry->kind != SPACE_NODE || life_find(life, entry->translator))
                continue;
            log_line("%s: what is known of its translator %" PRIu64 " is lost; the node is gone",
                     entry->path, entry->translator);
            char *path = strdup(entry->path);
            if (path)
                space_remove(space, path);
            free(path);
        }
    }
}

static void states_load(struct life *life, DIR *directory)
{
    struct dirent *entry;

    while ((entry = readdir(directory))) {
        struct translator *translator;
        int error;
        if (entry->d_name[strspn(entry->d_name, "0123456789")] != '\0')
            continue; /* also what was being written when the server was killed */
        translator = translator_new(life);
        if (!translator)
            return;
        error = state_read(life, entry->d_name, translator);
        if (error) {
            log_line("what is known of translator %s: %s", entry->d_name, strerror(error));
            translator_free(translator);
            continue;
        }
        if (translator->pid && !life_is_alive(translator))
            translator->pid = 0;
        journal_skip(life->journal, JOURNAL_TRANSLATORS, translator->id);
        translator_link(life, translator);
    }
}

/* Directories of translators that were being made or forgotten when the server was killed. */
static void directories_sweep(struct life *life, const char *path)
{
    DIR *directory = opendir(path);
    struct dirent *entry;

    while (directory && (entry = readdir(directory))) {
        char *end;
        uint64_t id = strtoull(entry->d_name, &end, 10);
        if (id == 0 || *end || life_find(life, id))
            continue;
        journal_skip(life->journal, JOURNAL_TRANSLATORS, id);
        node_directory_forget(life, id);
    }
    if (directory)
        closedir(directory);
}

int life_load(struct life *life)
{
    char path[PATH_MAX];
    struct translator *next;
    DIR *directory;
    int error = state_directory(life, path);

    if (error)
        return error;
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return errno;
    directory = opendir(path);
    if (!directory)
        return errno;
    states_load(life, directory);
    closedir(directory);
    entries_check(life);
    for (struct translator *translator = life->translators; translator; translator = next) {
        next = translator->next;
        if (translator->orphan   ? translator->pid == 0
            : translator->active ? !space_of_node(life->names, translator->id)
                                 : !space_find(life->names, translator->space))
            life_forget(translator);
    }
    if (snprintf(path, sizeof(path), "%s/nodes", life->server->directory) >= (int)sizeof(path))
        return ENAMETOOLONG;
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return errno;
    directories_sweep(life, path);
    return 0;
}
