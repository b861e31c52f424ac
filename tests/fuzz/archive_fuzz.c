/* An archive of arbitrary bytes: unpacked, indexed, its contents extracted; whatever they are, the
 * tree stays well formed and nothing is written outside of the mirror. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "translators/archive/archive.h"
#include "translators/lib/library.h"

#define CONTENTS_MAX 16

static char directory[PATH_MAX];
static const struct translator archive = {
    .name = "archive",
    .directory = true,
    .fill = content_fill,
    .fill_unwanted = content_unwanted,
};

/* What is logged is another's: libFuzzer's output must stay legible. */
void log_line(const char *format, ...)
{
    (void)format;
}

void log_name(const char *name)
{
    (void)name;
}

static void directory_remove(void)
{
    translator_source("end");
    if (chdir(directory) == 0) {
        unlink("source");
        rmdir("tree");
        rmdir("own");
    }
    rmdir(directory);
}

static void prepare(void)
{
    const char *place = getenv("TMPDIR");

    snprintf(directory, sizeof(directory), "%s/hirsel-fuzz-XXXXXX", place ? place : "/tmp");
    if (!mkdtemp(directory))
        abort();
    atexit(directory_remove);
    library.translator = &archive;
    library.loop = ev_default_loop(0);
    library.directory = directory;
    library.node_descriptor = open(directory, O_RDONLY | O_DIRECTORY);
    if (tree_start() != 0)
        abort();
}

static void nothing(void *name)
{
    (void)name;
}

static void nodes_free(void)
{
    for (uint32_t i = 1; i < library.node_count; i++)
        links_leave(library.nodes[i]);
    for (uint32_t i = library.node_count; i-- > 0;) {
        tdestroy(library.nodes[i]->children, nothing);
        free(library.nodes[i]->target);
        if (i > 0)
            free(library.nodes[i]);
    }
    library.nodes[0]->children = NULL;
    library.nodes[0]->first = library.nodes[0]->last = NULL;
    library.node_count = 1;
}

static void nodes_check(void)
{
    for (uint32_t i = 1; i < library.node_count; i++) {
        const struct node *node = library.nodes[i];
        char path[NODE_PATH_MAX + 1];

        node_path(node, path);
        if (strlen(path) != node->path_length || path[0] == '/' || strstr(path, "//") ||
            strcmp(path, "..") == 0 || strncmp(path, "../", 3) == 0 || strstr(path, "/../") ||
            node_find(node->parent, node->name.bytes, node->name.length) != node ||
            !S_ISDIR(node->parent->mode) || (S_ISLNK(node->mode) && !node->target && !node->link))
            abort();
    }
}

static void contents_extract(struct archive_file *file)
{
    unsigned left = CONTENTS_MAX;

    for (uint32_t i = 1; i < library.node_count && left > 0; i++) {
        struct node *node = library.nodes[i];

        if (!S_ISREG(node->mode) || node_original(node) != node || node_filled(node))
            continue;
        left--;
        content_fill(node, file);
    }
    while (!TAILQ_EMPTY(&file->wanted) || file->current)
        ev_run(library.loop, EVRUN_ONCE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint64_t number;
    struct archive_file file = {
        .path = "fuzz",
        .max_size = 1 << 20,
        .max_entries = 300,
        .max_stream = 1 << 20,
        .source.descriptor = -1,
    };
    int descriptor = memfd_create("archive", MFD_CLOEXEC);
    char words[32];

    if (library.node_count == 0)
        prepare();
    snprintf(words, sizeof(words), "%llu", (unsigned long long)++number);
    if (descriptor < 0 || translator_source(words) != 0 ||
        write(descriptor, data, size) != (ssize_t)size)
        abort();
    STAILQ_INIT(&file.pending);
    TAILQ_INIT(&file.wanted);
    if (source_adopt(&file.source, descriptor) != 0)
        abort();
    descriptor = memfd_create("stream", MFD_CLOEXEC);
    if (!stream_unpack(&file, descriptor))
        close(descriptor);
    else if (source_adopt(&file.source, descriptor) != 0)
        abort();
    translator_hold();
    index_start(&file);
    while (library.holding)
        ev_run(library.loop, EVRUN_ONCE);
    nodes_check();
    contents_extract(&file);
    ev_timer_stop(library.loop, &file.slice);
    reader_close(&file.reader);
    close(file.source.descriptor);
    free(file.nodes);
    nodes_free();
    return 0;
}
