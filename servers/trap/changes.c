/* What the other trees of the session know of ways. Each confined tree has a name space of its own,
 * in which its programs count what leads known ways elsewhere; but they may work in the same
 * directories. What goes by the trap server is counted in all of the session's. */
#include "servers/trap/changes.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shim/core/space.h"
#include "shim/core/text.h"
#include "shim/door/ways.h"

/* Where the header and the count lie. */
#define PAGE 4096u

static void space_tell(int spaces, const char *name)
{
    char path[NAME_MAX + sizeof "/table"];
    struct stat status;
    int file;

    snprintf(path, sizeof path, "%s/table", name);
    file = openat(spaces, path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0)
        return;
    if (fstat(file, &status) == 0 && status.st_size >= (off_t)PAGE) {
        char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);

        if (page != MAP_FAILED) {
            struct space_changes *changes =
                (struct space_changes *)(void *)(page + SPACE_CHANGES_OFFSET);

            __atomic_add_fetch(&changes->count, 1, __ATOMIC_ACQ_REL);
            munmap(page, PAGE);
        }
    }
    close(file);
}

void changes_tell(void)
{
    char path[SESSION_LIMIT + sizeof "/spaces"];
    struct dirent *entry;
    DIR *spaces;

    snprintf(path, sizeof path, "%s/spaces", the_shim.core.session);
    spaces = opendir(path);
    if (spaces == NULL)
        return;
    while ((entry = readdir(spaces)) != NULL) {
        const char *at = entry->d_name;
        uint64_t space;

        /* One's own is counted where it is done. */
        if (text_get_number(&at, &space) && *at == '\0' && space != the_shim.core.space)
            space_tell(dirfd(spaces), entry->d_name);
    }
    closedir(spaces);
}
